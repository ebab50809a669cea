// A channel whose sender deviates: one bit of every reply is not what the protocol has it send.
import type { Channel } from '../../net/index.js'
import { Kind } from '../../protocol/kinds.js'

/** The same channel; while `deviates`, replies that leave have their last bit changed. */
export function withChangedReplies(channel: Channel, deviates: () => boolean): Channel {
  return {
    send(message) {
      if (message[4] === Kind.reply && deviates()) message[message.length - 1] ^= 1
      channel.send(message)
    },
    receive: (options) => channel.receive(options),
    drained: () => channel.drained(),
    close: (reason) => channel.close(reason),
    closed: channel.closed,
  }
}
