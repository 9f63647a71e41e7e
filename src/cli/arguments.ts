import { InvalidArgumentError } from "commander";
import { parseAddress } from "../base/address.ts";
import type { ClusterMember } from "../node/config.ts";

/** A whole number within bounds, as an option's parser. */
export function wholeNumber(bounds: { readonly min: number; readonly max?: number }): (text: string) => number {
  const max = bounds.max ?? Number.MAX_SAFE_INTEGER;
  return (text) => {
    const value = Number(text);
    if (!/^-?[0-9]+$/.test(text) || !Number.isSafeInteger(value) || value < bounds.min || value > max) {
      const range = bounds.max === undefined ? `${bounds.min} or more` : `from ${bounds.min} to ${max}`;
      throw new InvalidArgumentError(`It must be a whole number, ${range}.`);
    }
    return value;
  };
}

/** Client addresses: HOST:PORT,HOST:PORT. Returns the text as it is. */
export function addressList(text: string): string {
  for (const part of text.split(",")) {
    const address = parseAddress(part);
    if (typeof address === "string") throw new InvalidArgumentError(`${JSON.stringify(part)} ${address}.`);
    if (address.port === 0) throw new InvalidArgumentError(`${JSON.stringify(part)} needs a port other than 0.`);
  }
  return text;
}

/** Names and peer addresses: NAME=HOST:PORT,... Everything else about them is checked with the whole configuration. */
export function memberList(text: string): readonly ClusterMember[] {
  return text.split(",").map((part) => {
    const equals = part.indexOf("=");
    if (equals <= 0) throw new InvalidArgumentError(`${JSON.stringify(part)} must be NAME=HOST:PORT.`);
    return { name: part.slice(0, equals), peerAddress: part.slice(equals + 1) };
  });
}
