// The simulated disk does what the real one does, as long as the power is on.
import { Random } from "../../src/simulator/random.ts";
import { SimDisk } from "../../src/simulator/sim-disk.ts";
import { diskContract } from "../storage/disk-contract.ts";

diskContract("the simulator", () => {
  const disk = new SimDisk(new Random(1));
  disk.makeDirectory("/d");
  return { disk, dir: "/d", [Symbol.dispose]: () => {} };
});
