// What every transport looks like from above: whole messages, in order, both ways.

/** How long to wait for a message. */
export interface ReceiveOptions {
  signal?: AbortSignal
  /** Milliseconds to wait when no message is there yet. Without it: as long as the channel lives. */
  deadlineMs?: number
}

/** What every channel takes. */
export interface ChannelOptions {
  /** Most bytes that may wait here to be received; beyond it the channel closes with FRAME. Default 64 MiB. */
  inboxLimit?: number
}

/** An ordered, reliable, two-way stream of binary messages. */
export interface Channel {
  /**
   * Queues one message; never blocks. The channel owns `message` from now on and may transfer its buffer, so the
   * caller neither reads nor writes it again. After either side closed it does nothing: `receive` says why.
   */
  send(message: Uint8Array): void
  /**
   * The next message in order; several callers are served in the order they asked. A rejected call takes no message. Whoever
   * receives it owns its buffer, where the message fills that.
   *
   * @throws RingfenceError PEER_GONE when the peer closed (after all that arrived before was received), FRAME when the
   *   peer broke the transport's rules, ABORTED by `signal` or after `close` on this side, DEADLINE after `deadlineMs`.
   */
  receive(options?: ReceiveOptions): Promise<Uint8Array>
  /**
   * Resolves once the outgoing queue is below a few MiB; a sender of bulk material awaits it between messages.
   *
   * @throws RingfenceError as `receive` does, once the channel has ended
   */
  drained(): Promise<void>
  /** Hands over what was queued, then closes. `reason` is public: it travels to the peer. */
  close(reason?: string): void
  /** Resolves when the transport is shut in both directions, whoever closed it. Never rejects. */
  readonly closed: Promise<void>
}

/** A channel of which one message was read already. */
export function withFirst(channel: Channel, message: Uint8Array): Channel {
  let first: Uint8Array | undefined = message
  return {
    send: (out) => channel.send(out),
    receive: (options) => {
      if (!first) return channel.receive(options)
      const held = first
      first = undefined
      return Promise.resolve(held)
    },
    drained: () => channel.drained(),
    close: (reason) => channel.close(reason),
    closed: channel.closed,
  }
}
