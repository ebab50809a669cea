// The first message of who connects, and what those are told who meant another party.
import { RingfenceError } from '../errors.js'
import { type Link, Phase } from '../net/index.js'
import { PROTOCOL_VERSION } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { CLIENT_HELLO_BYTES, HELLO_BYTES } from './messages.js'

/** What a party is that others connect to, and the length of the first message to it. */
const GREETED = { server: CLIENT_HELLO_BYTES, helper: HELLO_BYTES } as const

/**
 * The first message to a party.
 * @throws RingfenceError WRONG_PARTY for one to another party; else as `Link.receive`
 */
export async function receiveHello(link: Link, self: keyof typeof GREETED): Promise<Uint8Array> {
  const frame = await link.receiveAny(HELLO_BYTES)
  const { kind, payload } = frame
  const other = self === 'server' ? 'helper' : 'server'
  if (kind === Kind.hello && payload.byteLength === GREETED[other] && payload[0] === PROTOCOL_VERSION) {
    throw wrongParty(self, other)
  }
  return link.expect(frame, Kind.hello, Phase.setup, 0, GREETED[self])
}

/** @param self what was reached; @param meant what it was taken for */
export function wrongParty(self: string, meant: string): RingfenceError {
  return new RingfenceError('WRONG_PARTY', `this is a ${self}, and whoever connected took it for a ${meant}`)
}
