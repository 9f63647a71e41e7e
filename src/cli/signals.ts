/** Resolves at the first SIGINT or SIGTERM. A second one ends the process at once, as the system would. */
export function untilStopped(): Promise<"stopped"> {
  return new Promise((done) => {
    const stop = () => {
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
      done("stopped");
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}

/**
 * Resolves when standard input ends: the parent that holds its other end is gone, however it ended. For processes that must not
 * outlive who started them.
 */
export function untilParentGone(): Promise<"stopped"> {
  return new Promise((done) => {
    process.stdin.on("end", () => done("stopped"));
    process.stdin.on("close", () => done("stopped"));
    process.stdin.on("error", () => done("stopped"));
    process.stdin.resume();
  });
}
