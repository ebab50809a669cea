// A client by hand: it says to server and helper what a test wants said.
import { type Link, memoryPair, Phase } from '../../../src/net/index.js'
import type { Helper } from '../../../src/party/helper/helper.js'
import {
  Caller,
  decodeReserved,
  decodeWelcome,
  encodeBatch,
  encodeClientHello,
  encodeHello,
  RESERVED_BYTES,
  type Reserved,
  WELCOME_BYTES,
} from '../../../src/party/messages.js'
import type { Server } from '../../../src/party/server.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import { planDigest } from '../../../src/plan/plan.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { keyPair } from '../../../src/random/seed.js'
import { raw } from '../fixture.js'

export function reach(party: Helper | Server): Link {
  const [near, far] = memoryPair()
  void party.run(far)
  return raw(near, true)
}

/** At the server, and with a session of the server's choice at the helper. */
export async function stranger({ plan }: Compiled, server: Server, principal?: string) {
  const digest = planDigest(plan)
  const [near, far] = memoryPair()
  void server.run(far, { principal: principal === undefined ? undefined : { name: principal } })
  const link = raw(near)
  link.send(Kind.hello, Phase.setup, 0, encodeClientHello({ digest, hasPlan: true }))
  const { registration, session } = decodeWelcome(await link.receive(Kind.welcome, Phase.setup, 0, WELCOME_BYTES))
  const reserve = async (first: number, count: number): Promise<Reserved> => {
    link.send(Kind.reserve, Phase.offline, 0, encodeBatch(first, count))
    return decodeReserved(await link.receive(Kind.reserved, Phase.offline, 0, RESERVED_BYTES, { deadlineMs: 120_000 }))
  }
  const atHelper = async (helper: Helper, as = session, { publicKey } = keyPair()) => {
    const link = reach(helper)
    const hello = { role: Caller.client, registration, session: as, digest, publicKey, planBytes: 0 }
    link.send(Kind.hello, Phase.setup, 0, encodeHello(hello))
    await link.receive(Kind.welcome, Phase.setup, 0, 32)
    return link
  }
  return { link, session, registration, reserve, atHelper }
}
