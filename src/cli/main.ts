#!/usr/bin/env node
import { CommanderError } from "commander";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { collectByBuffers, optimizeEarly } from "./heap.ts";
import { endQuietlyWhenUnread, Output } from "./output.ts";
import { program } from "./program.ts";

// Of help too, which commander writes: a reader such as `head` that has seen enough is no failure of ours.
endQuietlyWhenUnread();
collectByBuffers();
optimizeEarly();
try {
  await program().parseAsync();
} catch (cause) {
  if (cause instanceof CommanderError) {
    // Commander has said what is wrong. Help that was asked for is no error.
    process.exitCode = cause.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  } else {
    new Output(process.argv.includes("--json")).error(cause);
    process.exitCode = exitCodeOf(cause);
  }
}
