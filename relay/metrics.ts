/** What `/metrics` shows: the text format 0.0.4 of Prometheus. */
import type { RelayContext } from "./context.ts";

/** The media type of the format. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** A number, or one for each value of a label. */
type Value = number | { label: string; values: Readonly<Record<string, number>> };

interface Metric {
  name: string;
  type: "gauge" | "counter";
  help: string;
  value: Value;
}

/** The page of metrics. */
export function metricsPage(context: Pick<RelayContext, "counters" | "limits">): string {
  return metricsOf(context).map(format).join("");
}

function metricsOf({ counters, limits }: Pick<RelayContext, "counters" | "limits">): Metric[] {
  return [
    gauge("registrations", "Names that are registered, by what they were registered over.", {
      label: "carrier",
      values: counters.registrations,
    }),
    gauge("registrations_limit", "Names that may be registered.", limits.maxRegistrations),
    gauge("connections", "TCP connections.", counters.connections),
    gauge(
      "connections_limit",
      "TCP connections that there may be: file descriptors are counted in it.",
      counters.maxConnections,
    ),
    counter("connections_total", "TCP connections that were taken.", counters.connectionsTotal),
    gauge("circuits", "Circuits that are joined.", counters.circuits),
    gauge("circuits_limit", "Circuits that there may be.", limits.maxCircuits),
    counter("circuits_total", "Circuits that were joined.", counters.circuitsTotal),
    counter("circuit_bytes_total", "Bytes that circuits carried.", counters.circuitBytes),
    counter(
      "introductions_total",
      "Pairs of peers that were told of each other.",
      counters.introductions,
    ),
    counter("refusals_total", "What was refused, by reason.", {
      label: "reason",
      values: counters.refusals,
    }),
  ];
}

function gauge(name: string, help: string, value: Value): Metric {
  return { name: `p2p_relay_${name}`, type: "gauge", help, value };
}

function counter(name: string, help: string, value: Value): Metric {
  return { name: `p2p_relay_${name}`, type: "counter", help, value };
}

/** Labels and their values are of our own making: none needs escaping. */
function format({ name, type, help, value }: Metric): string {
  const lines = typeof value === "number"
    ? [`${name} ${value}`]
    : Object.entries(value.values).map(([label, count]) =>
      `${name}{${value.label}="${label}"} ${count}`
    );
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines, ""].join("\n");
}
