/** Names of the machines that every node has (builtins.ts), for those who need not load them. */
export const builtinNames: readonly string[] = ["registers", "counters", "space", "leases", "decisions"];
