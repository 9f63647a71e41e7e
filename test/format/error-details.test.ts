/**
 * Goal: an error reaches the caller with its code, outcome and facts; foreign or broken trailers make no error out of nothing.
 * Method: every code through encode and decode, generated facts, random bytes, and the trailer as a foreign library would read it.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ErrorCode, errorCodes, PaxlogError } from "../../src/base/errors.ts";
import { decodeErrorDetails, encodeErrorDetails, grpcStatuses, grpcStatusOf } from "../../src/format/error-details.ts";
import { google } from "../../src/format/generated/wire.js";

const summary = (error: PaxlogError | undefined) =>
  error && {
    code: error.code,
    message: error.message,
    outcome: error.outcome,
    retryable: error.retryable,
    facts: { ...error.facts },
  };

describe("the details of an error", () => {
  test.each(errorCodes)("of code %s arrive whole", (code) => {
    for (const outcome of ["none", "unknown"] as const) {
      const error = new PaxlogError(code, `Grund: ${code} – ü`, {
        outcome,
        facts: { leader: "10.0.0.1:7100", tail: 7, head: 2 ** 53 - 1 },
      });
      expect(summary(decodeErrorDetails(encodeErrorDetails(error)))).toEqual(summary(error));
    }
  });

  test("keep facts of any name, and make no property out of a prototype's name", () => {
    const names = fc.string({ maxLength: 10 }).filter((name) => !["outcome", "retryable", "__proto__"].includes(name));
    const facts = fc.dictionary(
      names,
      fc.oneof(
        fc.maxSafeNat(),
        fc.string({ maxLength: 10 }).filter((value) => !/^\d+$/.test(value)),
      ),
    );
    fc.assert(
      fc.property(facts, fc.boolean(), (given, retryable) => {
        const error = new PaxlogError("OVERLOADED", "m", { retryable, facts: given });
        expect(summary(decodeErrorDetails(encodeErrorDetails(error)))).toEqual(summary(error));
      }),
    );
    const info = google.rpc.ErrorInfo.encode({
      reason: "CLOSED",
      domain: "paxlog",
      metadata: JSON.parse('{"__proto__":"x"}'),
    }).finish();
    const bytes = google.rpc.Status.encode({
      details: [{ type_url: "type.googleapis.com/google.rpc.ErrorInfo", value: info }],
    }).finish();
    const decoded = decodeErrorDetails(bytes);
    expect(Object.getPrototypeOf(decoded?.facts)).toBe(Object.prototype);
  });

  test("do not carry cause and stack", () => {
    const error = new PaxlogError("STORAGE_FAILED", "the disk failed", { cause: new Error("EIO at /secret/path") });
    expect(encodeErrorDetails(error).toString("latin1")).not.toContain("secret");
  });

  test("are a google.rpc.Status with one ErrorInfo, as log.proto says", () => {
    const error = new PaxlogError("NOT_LEADER", "b leads", { facts: { leader: "h:1" } });
    const status = google.rpc.Status.decode(encodeErrorDetails(error));
    expect(status).toMatchObject({ code: 9, message: "b leads" });
    expect(status.details).toHaveLength(1);
    const info = google.rpc.ErrorInfo.decode(status.details![0]!.value!);
    expect(info).toMatchObject({
      domain: "paxlog",
      reason: "NOT_LEADER",
      metadata: { outcome: "none", retryable: "true", leader: "h:1" },
    });
  });
});

describe("a trailer that is not ours", () => {
  const trailer = (domain: string, reason: string) =>
    google.rpc.Status.encode({
      details: [
        {
          type_url: "type.googleapis.com/google.rpc.ErrorInfo",
          value: google.rpc.ErrorInfo.encode({ domain, reason }).finish(),
        },
      ],
    }).finish();

  test("is no error: another domain, an unknown code, no details, other details", () => {
    expect(decodeErrorDetails(trailer("paxlog", "CLOSED"))?.code).toBe("CLOSED");
    expect(decodeErrorDetails(trailer("example.com", "CLOSED"))).toBeUndefined();
    expect(decodeErrorDetails(trailer("paxlog", "FROM_THE_FUTURE"))).toBeUndefined();
    expect(decodeErrorDetails(new Uint8Array(0))).toBeUndefined();
    expect(
      decodeErrorDetails(google.rpc.Status.encode({ details: [{ type_url: "x", value: Buffer.from("y") }] }).finish()),
    ).toBeUndefined();
  });

  test("never throws", () => {
    const real = encodeErrorDetails(new PaxlogError("NOT_LEADER", "b leads", { facts: { leader: "h:1" } }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(real.length - 1), fc.nat(255), (random, at, value) => {
        decodeErrorDetails(random);
        const changed = Buffer.from(real);
        changed[at] = value;
        decodeErrorDetails(changed);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the gRPC status", () => {
  test("is a failure for every code", () => {
    for (const code of errorCodes)
      expect(Object.values(grpcStatuses)).toContain(grpcStatusOf(new PaxlogError(code, "")));
  });

  test("invites no retry where the write may have happened", () => {
    for (const code of errorCodes) {
      const error = new PaxlogError(code as ErrorCode, "", { outcome: "unknown" });
      expect(grpcStatusOf(error)).not.toBe(grpcStatuses.UNAVAILABLE);
    }
  });
});
