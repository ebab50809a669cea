// The published protocol as a back end of the comparison bench (docs/protocol.md, part two): the helper is on line, nothing is
// dealt ahead, and the window is [opened - bits, opened) of a 64-bit value.

import { loadKernels } from '../../../src/kernels/instance.js'
import { type Link, Phase } from '../../../src/net/index.js'
import { dreluMessages } from '../../../src/protocol/securenn/drelu.js'
import { pairwise, productMessages } from '../../../src/protocol/securenn/multiply.js'
import { after, lastStage, type Message } from '../../../src/protocol/transcript.js'
import type { Backend, Party, Role, Values, Variant } from '../backend.js'
import { onlineCost } from '../network.js'
import { expectedWrong, openedBits, quantise, uniform } from '../values.js'
import { batch, deal, helperOf, shareOf, sideOf, windowOf } from './batch.js'
import { local } from './local.js'

type Links = Readonly<Partial<Record<Role, Link>>>

function variants(bits: number, ignored?: number): ReturnType<Backend['variants']> {
  if (bits < 2) return { unsupported: 'the odd ring 2^bits - 1 needs 2 bits' }
  const variant = { backend: 'securenn', bits, shape: [], opened: openedBits(bits, ignored) } as const
  return [
    { ...variant, operation: 'comparison' },
    { ...variant, operation: 'relu' },
  ]
}

/** C of the product leaves with the helper's last answer; the server asks for it when it has sent its openings. */
function messages(variant: Variant, elements: number): readonly Message[] {
  const comparison = dreluMessages(windowOf(variant), elements)
  if (variant.operation === 'comparison') return comparison
  return [...comparison, ...after(lastStage(comparison), productMessages(pairwise(elements)))]
}

const cost = (variant: Variant, elements: number): ReturnType<Backend['cost']> => ({
  online: onlineCost(messages(variant, elements)),
  offline: { clientDown: 0, clientUp: 0, helperToServer: 0 },
})

/**
 * Digits take a byte per compared bit: the helper holds its own and both shares beside the random bytes they come from.
 * Frames of a message wait outside that memory.
 */
const memory = ({ bits }: Variant, elements: number): number => elements * (8 * bits + 256)

/**
 * Probability over the shares that the sign of v comes out wrong. Shares that drop l = opened - bits low bits apart give
 * ⌊v / 2^l⌋ - c, where c = 1 with probability (2^l - 1 - v mod 2^l) / 2^l, and a window of -1 counts as 0. So only
 * -2^l <= v < 0 is at risk: it counts as positive when c = 0, with probability (v + 2^l + 1) / 2^l. Exact at 64 bits.
 */
export function wrongSignProbability(v: number, { bits, opened }: Pick<Variant, 'bits' | 'opened'>): number {
  const unit = 2 ** (opened - bits)
  return bits === 64 || v >= 0 || v < -unit ? 0 : (v + unit + 1) / unit
}

const predictedWrong = (variant: Variant, values: Values): number =>
  expectedWrong(values, (v) => wrongSignProbability(v, variant))

/** Between batches: the helper hears that both others are ready, then sends both off. Not counted as on line. */
const BARRIER = 200
const NOTHING = new Uint8Array()
const tell = (link: Link) => link.send(BARRIER, Phase.setup, 0, NOTHING)
const hear = (link: Link) => link.receive(BARRIER, Phase.setup, 0, 0)

async function party(role: Role, variant: Variant, values: Values, links: Links): Promise<Party> {
  const k = loadKernels()
  const count = values.length
  if (role === 'helper') {
    const [client, server] = [links.client!, links.server!]
    const helper = helperOf(k, client, server)
    return {
      async ready() {
        await hear(client)
        await hear(server)
        tell(client)
        tell(server)
      },
      run: () => deal(helper, variant, count),
      release: () => {},
    }
  }
  const helper = links.helper!
  const side = sideOf(k, role === 'client' ? 0 : 1, links[role === 'client' ? 'server' : 'client']!, helper)
  const share = shareOf(side, values)
  return {
    async ready() {
      tell(helper)
      await hear(helper)
    },
    async run() {
      const { bit, value } = await batch(side, variant, share, count)
      bit.release()
      value?.release()
    },
    release: () => share.release(),
  }
}

export const securenn: Backend = {
  name: 'securenn',
  timed: ['client', 'server'],
  ...{ variants, memory, messages, cost, uniform, quantise, predictedWrong, party },
  local: (variant, values) => local(variant, values, messages(variant, values.length)),
}
