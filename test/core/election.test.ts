// Goal: whom a node follows, and when it stands for a ballot itself. Method: rounds of replies, made by hand.
import { describe, expect, test } from "vitest";
import type { NodeId, Slot } from "../../src/base/types.ts";
import { type Ballot, noBallot, untakenBallot } from "../../src/core/ballot.ts";
import { Election, type RoundInputs } from "../../src/core/election.ts";
import { majorityQuorums } from "../../src/core/quorum.ts";
import { calmRound as calm } from "./rounds.ts";

const id = (value: number) => value as NodeId;
const ballot = (n: number, node: number): Ballot => ({ configId: 1, n, nodeId: id(node) });

interface Said {
  readonly ballot?: Ballot;
  readonly leader: Ballot;
  readonly happy: boolean;
  readonly diskFull?: boolean;
  readonly oldestSyncMs?: number;
  readonly unreadyMachines?: number;
}

/** One round in which these peers reply. */
function round(election: Election, replies: Readonly<Record<number, Said>>, inputs: Partial<RoundInputs> = {}): void {
  const { round: number } = election.startRound(1 as Slot);
  for (const [peer, said] of Object.entries(replies)) {
    const from = id(Number(peer));
    election.onReply(from, {
      kind: "heartbeatReply",
      round: number,
      ballot: said.ballot ?? untakenBallot(from),
      leader: said.leader,
      happy: said.happy,
      flushedEnd: 1 as Slot,
      visibleEnd: 1 as Slot,
      oldestSyncMs: said.oldestSyncMs ?? 0,
      loopLagMs: 0,
      diskFull: said.diskFull ?? false,
      unreadyMachines: said.unreadyMachines ?? 0,
      clientAddress: "",
    });
  }
  election.endRound({ ...calm, ...inputs });
}

const nobody = { leader: noBallot, happy: false };

describe("taking over", () => {
  test("a single voter takes a ballot at the end of its first round", () => {
    const election = new Election(id(1), majorityQuorums(1), noBallot);
    round(election, {});
    expect(election.own).toEqual(ballot(1, 1));
    expect(election.leadsOwn).toBe(true);
  });

  test("in its first round a node leaves it to one with a smaller id that it hears, and no longer", () => {
    const election = new Election(id(2), majorityQuorums(3), noBallot);
    round(election, { 1: nobody, 3: nobody });
    expect(election.leadsOwn).toBe(false);
    round(election, { 1: nobody, 3: nobody });
    expect(election.leadsOwn).toBe(true);
    const first = new Election(id(2), majorityQuorums(3), noBallot);
    round(first, { 3: nobody });
    expect(first.leadsOwn).toBe(true);
  });

  test("needs a quorum that replies in this round, none of it happy", () => {
    const election = new Election(id(1), majorityQuorums(3), noBallot);
    round(election, {});
    expect(election.leadsOwn).toBe(false);
    round(election, { 2: { ballot: ballot(1, 2), leader: ballot(1, 2), happy: true } });
    expect(election.leaderNode).toBe(2);
    round(election, { 2: nobody });
    expect(election.own).toEqual(ballot(2, 1));
  });

  test("takes a ballot above every number seen, in ballots, leader fields and promises", () => {
    const election = new Election(id(1), majorityQuorums(3), ballot(4, 2));
    election.noteBallot(ballot(9, 2));
    round(election, { 2: { leader: ballot(11, 3), happy: false } });
    expect(election.own).toEqual(ballot(12, 1));
  });

  test("a leader field is never adopted: gossip does not depose anybody", () => {
    const election = new Election(id(1), majorityQuorums(3), noBallot);
    round(election, { 2: { leader: ballot(7, 3), happy: true } });
    expect(election.leader).toEqual(noBallot);
    expect(election.leadsOwn).toBe(false);
  });

  test("one silent round unseats nobody; two do", () => {
    const election = new Election(id(1), majorityQuorums(3), noBallot);
    const leading = { ballot: ballot(1, 2), leader: ballot(1, 2), happy: true };
    const following = { leader: ballot(1, 2), happy: true };
    round(election, { 2: leading, 3: following });
    round(election, { 3: following });
    expect(election.happy).toBe(true);
    round(election, { 3: { ...following, happy: false } });
    expect(election.own).toEqual(ballot(2, 1));
  });

  test("a round that ended late, or in which another was promised, takes nothing over", () => {
    const election = new Election(id(1), majorityQuorums(3), noBallot);
    round(election, { 2: nobody, 3: nobody }, { late: true });
    expect(election.leadsOwn).toBe(false);
    round(election, { 2: nobody, 3: nobody }, { promised: ballot(3, 2), promisedInRound: true });
    expect(election.leadsOwn).toBe(false);
    expect(election.leader).toEqual(ballot(3, 2));
  });
});

describe("ballot lift", () => {
  /** Node 3 of five, whose ballot 1.1.3 two others follow. */
  function leading(): Election {
    const election = new Election(id(3), majorityQuorums(5), noBallot);
    round(election, {});
    round(election, { 1: nobody, 2: nobody, 4: nobody, 5: nobody });
    expect(election.own).toEqual(ballot(1, 3));
    return election;
  }

  test("a leader lifts its ballot for a voter that promised a dead candidate", () => {
    const election = leading();
    const followers = { 1: { leader: ballot(1, 3), happy: true }, 5: { leader: ballot(1, 3), happy: true } };
    for (let count = 0; count < 2; count += 1)
      round(election, { ...followers, 2: { leader: ballot(3, 4), happy: false } });
    expect(election.own).toEqual(ballot(4, 3));
  });

  test("a node that knows it is superseded does not: it would depose the one that leads", () => {
    const election = leading();
    for (let count = 0; count < 4; count += 1) {
      round(election, { 5: { leader: ballot(3, 1), happy: true }, 2: { leader: ballot(3, 1), happy: false } });
    }
    expect(election.happy).toBe(true);
    expect(election.own).toEqual(ballot(1, 3));
  });
});
