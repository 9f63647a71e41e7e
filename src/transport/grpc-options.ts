import type { ClientOptions, ServerOptions } from "@grpc/grpc-js";
import { limits } from "../base/limits.ts";

/**
 * Every limit of grpc-js that has an option, set and not left to its defaults, most of which are "unlimited". Those that have
 * none (header list, windows, connections, calls, handshake) are set in windows.ts and listener.ts. Nothing is compressed:
 * batches may come compressed by their client, and a decompressor in front of every check is a way in for bombs.
 */
const common = {
  "grpc.max_receive_message_length": limits.messageBytesMax,
  "grpc.max_send_message_length": limits.messageBytesMax,
  "grpc-node.max_session_memory": limits.sessionMemoryMegabytes,
  // Channelz keeps records of every call for a debugging service that is not offered here.
  "grpc.enable_channelz": 0,
} as const;

/** Clients may ping as often as they like (a library that pings every five seconds is common): grpc-js punishes no pings. */
export const clientServerOptions: ServerOptions = {
  ...common,
  "grpc.max_concurrent_streams": limits.streamsPerConnection,
  "grpc.keepalive_time_ms": limits.clientKeepaliveMs,
  "grpc.keepalive_timeout_ms": limits.clientKeepaliveTimeoutMs,
};

export const peerServerOptions: ServerOptions = {
  ...common,
  "grpc.max_concurrent_streams": limits.peerStreamsPerConnection,
  "grpc.keepalive_time_ms": limits.peerKeepaliveMs,
  "grpc.keepalive_timeout_ms": limits.peerKeepaliveTimeoutMs,
};

/** For a client that is made for one connection and thrown away with it: redialing and its backoff are the dialer's. */
export const peerClientOptions: ClientOptions = {
  ...common,
  "grpc-node.flow_control_window": limits.http2WindowBytes,
  "grpc.keepalive_time_ms": limits.peerKeepaliveMs,
  "grpc.keepalive_timeout_ms": limits.peerKeepaliveTimeoutMs,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.default_compression_algorithm": 0,
  // A connection of its own: otherwise heartbeats share one with bulk data and queue behind it.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.initial_reconnect_backoff_ms": limits.redialMsFirst,
  "grpc.max_reconnect_backoff_ms": limits.redialMsMax,
  "grpc.dns_min_time_between_resolutions_ms": limits.redialMsMax,
  // Without them grpc-js keeps copies of what was sent, asks DNS for a service configuration, and takes proxies from the
  // environment: none of it belongs between nodes.
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_http_proxy": 0,
};
