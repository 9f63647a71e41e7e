import { limits } from "./limits.ts";

/** HOST:PORT taken apart. An IPv6 host is written in brackets and kept without them. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const hostName = /^[A-Za-z0-9._-]+$/;
const ipv6 = /^\[([0-9A-Fa-f:.]+)\]$/;

/** The parts of HOST:PORT, or what is wrong with it, as the end of a sentence. */
export function parseAddress(text: string): Address | string {
  if (Buffer.byteLength(text) > limits.addressBytesMax) return `is longer than ${limits.addressBytesMax} bytes`;
  const colon = text.lastIndexOf(":");
  if (colon < 0) return "must be HOST:PORT";
  const portText = text.slice(colon + 1);
  const port = Number(portText);
  if (!/^[0-9]{1,5}$/.test(portText) || port > 65_535) return "must end in a port from 0 to 65535";
  const hostText = text.slice(0, colon);
  const bracketed = ipv6.exec(hostText);
  if (bracketed !== null) return { host: bracketed[1]!, port };
  if (!hostName.test(hostText)) return "must begin with a host name or an IP address (IPv6 in brackets)";
  return { host: hostText, port };
}

export function showAddress(address: Address): string {
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** Whether only this machine can reach it. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** Whether it means every interface, so that it names no machine that a client could dial. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
