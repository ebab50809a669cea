// Which hosts never leave this machine; only to them may a plain-text connection be made or offered.

/** @param host a host name or address, IPv6 with or without brackets */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
}
