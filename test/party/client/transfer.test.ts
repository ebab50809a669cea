// Messages longer than one frame: pieces arrive as they were cut, whatever the length, and nothing else passes for them.
import { expect, test } from 'vitest'
import { Link, memoryPair, Phase } from '../../../src/net/index.js'
import { receivePieces, receivePiecesUnless, sendPieces } from '../../../src/party/transfer.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { PIECE_BYTES } from '../../../src/protocol/pieces.js'
import { failure } from '../fixture.js'

function links() {
  const [a, b] = memoryPair()
  const link = (channel: typeof a) => new Link(channel, { name: 'server', deadlineMs: 5000, maxFrame: 2 * PIECE_BYTES })
  return [link(a), link(b)] as const
}

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 12)) & 255)
const AT = [Kind.plan, Phase.setup, 0] as const

test.each([0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 5])(
  '%i bytes come as they went, in as many frames as both ends compute',
  async (length) => {
    const [from, to] = links()
    const bytes = pattern(length)
    const [received] = await Promise.all([
      receivePieces(to, ...AT, length),
      sendPieces(from, ...AT, bytes, { deadlineMs: 5000 }),
    ])
    expect(Buffer.compare(received, bytes)).toBe(0)
    from.send(Kind.hello, Phase.setup, 0, new Uint8Array(1))
    expect((await to.receive(Kind.hello, Phase.setup, 0, 1)).byteLength).toBe(1) // nothing was left between
  },
)

test('a peer may send an empty frame of another kind instead, but only in place of the first piece', async () => {
  const length = PIECE_BYTES + 3
  const [from, to] = links()
  from.send(Kind.hello, Phase.setup, 0, new Uint8Array(0))
  expect(await receivePiecesUnless(Kind.hello, to, ...AT, length)).toBeUndefined()
  const [received] = await Promise.all([
    receivePiecesUnless(Kind.hello, to, ...AT, length),
    sendPieces(from, ...AT, pattern(length), { deadlineMs: 5000 }),
  ])
  expect(Buffer.compare(received!, pattern(length))).toBe(0)
  from.send(...AT, pattern(PIECE_BYTES))
  from.send(Kind.hello, Phase.setup, 0, new Uint8Array(0))
  expect((await failure(receivePiecesUnless(Kind.hello, to, ...AT, length)))?.code).toBe('PROTOCOL')
})

test('a piece of another length ends it', async () => {
  const [from, to] = links()
  from.send(...AT, pattern(PIECE_BYTES))
  from.send(...AT, pattern(4))
  expect((await failure(receivePieces(to, ...AT, PIECE_BYTES + 3)))?.code).toBe('FRAME')
})
