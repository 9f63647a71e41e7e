// Stored procedures of the soaks, for `paxlog serve --procedures`: a transfer leaves a receipt, which says in the end that it took place.
import { defineProcedures } from "paxlog";

const firstBalance = 100;
const keyOf = (group, account) => `account/${group}/${account}`;

export const procedures = defineProcedures({
  transfer: (tx, { group, from, to, amount, receipt }) => {
    const balanceOf = (account) => tx.get(keyOf(group, account)) ?? firstBalance;
    const left = balanceOf(from) - amount;
    if (left < 0) tx.refuse("not enough money");
    tx.put(keyOf(group, from), left);
    tx.put(keyOf(group, to), balanceOf(to) + amount);
    tx.put(`receipt/${receipt}`, left);
    return left;
  },
  audit: (tx, { group, accounts }) => accounts.map((account) => tx.get(keyOf(group, account)) ?? firstBalance),
});
