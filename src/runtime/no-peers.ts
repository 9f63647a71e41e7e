import type { PeerNetwork } from "../transport/peer-network.ts";

/** The network of a node that is alone: there is nobody to speak to, and no port is opened. */
export const noPeers: PeerNetwork = {
  send: () => {},
  refuse: () => {},
  bufferedBytes: () => 0,
  close: () => Promise.resolve(),
};
