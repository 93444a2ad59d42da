/** The page that a relay shows to people who open its address in a browser. */
import { createHash } from "node:crypto";
import { formatRelayKey } from "../protocol/relay_key.ts";
import type { RelayContext } from "./context.ts";

const STYLE = `
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1.5rem; }
  h1 { font-size: 1.6rem; margin-bottom: 0; }
  h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
  p { margin: .5rem 0; }
  pre { overflow-x: auto; padding: .8rem 1rem; border-radius: .5rem; background: #8882; }
  dl { display: flex; flex-wrap: wrap; gap: .5rem 2.5rem; margin: 2rem 0; }
  dt { font-size: .85rem; opacity: .7; }
  dd { margin: 0; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
`;

/** What the page may do: show its own style. No scripts, no forms, no frames, nothing from elsewhere. */
export const PAGE_POLICY: string = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** A host and perhaps a port, as a Host header has them: nothing that a shell or HTML would read. */
const HOST = /^([\w.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/i;
/** Where a browser that names no port has connected to. */
const HTTP_PORT = 80;

/**
 * The page as HTML.
 * @param host what the browser says that it has connected to: it may say anything
 */
export function relayPage(context: RelayContext, host: string | undefined): string {
  const { counters, identity, password } = context;
  const key = formatRelayKey(identity.publicKey);
  const address = `${addressOf(host)}#${key}`;
  const names = Object.values(counters.registrations).reduce((sum, count) => sum + count, 0);
  const secret = password.required ? " --password-file FILE" : "";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>A p2p relay</title>
<style>${STYLE}</style>
</head>
<body>
<h1>A p2p relay</h1>
<p>Here two people find each other by name, to chat and to send files straight between their
machines. Where their networks do not let them, this relay passes the bytes on: it cannot read
them.</p>
<dl>
${count("names registered", names)}
${count("circuits open", counters.circuits)}
${count("introductions made", counters.introductions)}
</dl>
<h2>Be found by a name</h2>
${command(`p2p listen --name NAME --relay ${address}${secret}`)}
<h2>Chat with who is listening</h2>
${command(`p2p connect NAME --relay ${address}${secret}`)}
<h2>Send files to who is listening</h2>
${command(`p2p send --to NAME --relay ${address}${secret} --file FILE`)}
${secret && "<p>This relay has a password: FILE holds it.</p>"}
<p>What stands behind the <code>#</code> is this relay's key. Take it from somebody whom you trust:
with it, nobody else can pass for this relay.</p>
</body>
</html>
`;
}

function count(what: string, value: number): string {
  return `<div><dt>${escapeHtml(what)}</dt><dd>${value}</dd></div>`;
}

function command(text: string): string {
  return `<pre><code>${escapeHtml(text)}</code></pre>`;
}

function addressOf(host: string | undefined): string {
  const match = HOST.exec(host ?? "");
  if (!match) return "HOST:PORT";
  return match[2] === undefined ? `${match[0]}:${HTTP_PORT}` : match[0];
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
