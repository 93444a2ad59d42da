/**
 * This machine's interfaces and their addresses. None where the system cannot tell: it refuses for a
 * moment while an interface goes, or while this process has as many files open as it may.
 */
export function networkInterfaces(): Deno.NetworkInterfaceInfo[] {
  try {
    return Deno.networkInterfaces();
  } catch {
    return [];
  }
}
