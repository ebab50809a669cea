// The masked carry chain as a back end of the comparison bench (docs/protocol.md).

import { type Kernels, loadKernels, upload } from '../../../src/kernels/instance.js'
import { dealerBytes, rowBytes, tableBytes } from '../../../src/kernels/mcc.js'
import { type Link, Phase } from '../../../src/net/index.js'
import { receivePieces, sendPieces } from '../../../src/party/transfer.js'
import { chooseChunks, chunksOf } from '../../../src/plan/compile/chunks.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { planLayout, type ReluNumbers } from '../../../src/protocol/layout.js'
import { comparisonMessages } from '../../../src/protocol/mcc/comparison.js'
import { gadgetMessages } from '../../../src/protocol/mcc/gadgets.js'
import type { ReluStep } from '../../../src/protocol/mcc/step.js'
import { linkBytes, type Message, wireBytes } from '../../../src/protocol/transcript.js'
import type { Backend, CompareCost, LocalWork, Party, Role, Values, Variant } from '../backend.js'
import { onlineCost } from '../network.js'
import { expectedWrong, openedBits, quantise, uniform } from '../values.js'
import { chainOf, dealtRho, type Gadget, gadgetOf, type Material, RING, reluPlan, TRUNCATE } from './gadget.js'

const PATIENCE = { deadlineMs: 60_000 }

/** Every t whose tables are smaller than those of all smaller t: the others cost more on line and off line. */
export function sensibleShapes(bits: number): (readonly number[])[] {
  const shapes: (readonly number[])[] = []
  let least = Number.POSITIVE_INFINITY
  for (let t = 1; t <= bits; t++) {
    const chunks = chunksOf(bits, t)
    const bytes = chunks ? tableBytes(chunks, 8) : least
    if (!chunks || bytes >= least) continue
    least = bytes
    shapes.push(chunks)
  }
  return shapes
}

function variants(bits: number, ignored?: number): ReturnType<Backend['variants']> {
  const opened = openedBits(bits, ignored)
  const variant = (operation: Variant['operation'], shape: readonly number[]): Variant => ({
    backend: 'mcc',
    operation,
    bits,
    shape,
    opened,
  })
  const alone = sensibleShapes(bits).map((shape) => variant('comparison', shape))
  // Truncate-reduce leaves n - f bits to open: a whole ReLU needs k <= n' <= n - f.
  return opened <= RING - TRUNCATE ? [...alone, variant('relu', chooseChunks(bits))] : alone
}

/** Of a whole ReLU its step of a plan, without the linear part. */
const allMessages = (variant: Variant, elements: number): readonly Message[] =>
  variant.operation === 'relu'
    ? gadgetMessages(planLayout(reluPlan(variant, elements)).steps[0] as ReluStep<ReluNumbers>, RING, null)
    : comparisonMessages(chainOf(variant), elements, RING)

const messages = (variant: Variant, elements: number): readonly Message[] =>
  allMessages(variant, elements).filter(({ offline }) => !offline)

function cost(variant: Variant, elements: number): CompareCost {
  const material = allMessages(variant, elements).filter(({ offline }) => offline)
  const { helperServer: helperToServer } = linkBytes(material, wireBytes)
  return { online: onlineCost(messages(variant, elements)), offline: { clientDown: 0, clientUp: 0, helperToServer } }
}

/** In one thread the server's tables, the helper's next ones and the client's pads lie side by side. */
function memory({ shape, operation }: Variant, elements: number): number {
  const words = operation === 'relu' ? 32 : 8
  return (
    3 * tableBytes(shape, elements) +
    dealerBytes(shape, elements) +
    3 * rowBytes(shape, elements) +
    words * 4 * elements
  )
}

/**
 * Probability over the mask that the sign of v comes out wrong when `lo` low bits are ignored (E2). With w = v + add,
 * the window tests ⌊w / 2^lo⌋ less the carry c of the low bits, and c = 1 with probability (2^lo - 1 - w mod 2^lo) / 2^lo.
 * Only 0 <= w < 2^lo is at risk: it counts as negative when c = 1. So with add = 0 values 0 <= v < 2^lo are wrong with
 * probability (2^lo - 1 - v) / 2^lo; centred, with h = add = 2^(lo-1): 0 <= v < h with (h - 1 - v) / 2^lo, and
 * -h <= v < 0 with 1 - P(c = 1) = (h + 1 + v) / 2^lo: half as many in all, on either side of zero.
 */
export function wrongSignProbability(v: number, lo: number, add: number): number {
  const unit = 2 ** lo
  const w = v + add
  if (lo === 0 || w < 0 || w >= unit) return 0
  const carry = (unit - 1 - w) / unit
  return v >= 0 ? carry : 1 - carry
}

function predictedWrong(variant: Variant, values: Values): number {
  const { lo, add } = chainOf(variant)
  return expectedWrong(values, (v) => wrongSignProbability(v, lo, add))
}

function local(variant: Variant, values: Values): LocalWork {
  const k = loadKernels()
  const gadget = gadgetOf(k, variant, values)
  const material = gadget.take(gadget.deal())
  const opened = gadget.open(material)
  const reply = gadget.answer(opened.message)
  return {
    helper: () => gadget.deal().release(),
    server: () => gadget.finish(gadget.open(material), material, reply)?.release(),
    client: () => gadget.answer(opened.message).release(),
    signs() {
      const [beta, rho] = [reply.u8(), dealtRho(k, values.length)]
      return Uint8Array.from({ length: values.length }, (_, i) => ((beta[i >> 3] ^ rho[i >> 3]) >> (i & 7)) & 1)
    },
    release: () => gadget.release(),
  }
}

type Links = Readonly<Partial<Record<Role, Link>>>

async function party(role: Role, variant: Variant, values: Values, links: Links): Promise<Party> {
  const k = loadKernels()
  const gadget = gadgetOf(k, variant, values)
  const release = () => gadget.release()
  if (role === 'helper') {
    const material = gadget.deal()
    await sendPieces(links.server!, Kind.material, Phase.offline, 0, material.u8().slice(), PATIENCE)
    material.release()
    return { run: async () => {}, release }
  }
  if (role === 'client') return { run: () => answerOnce(k, gadget, links.server!), release }
  const { sizes } = gadget
  const bytes = await receivePieces(links.helper!, Kind.material, Phase.offline, 0, sizes.material, PATIENCE)
  const material = gadget.take(upload(k.memory, bytes))
  return { run: () => openOnce(k, gadget, material, links.client!), release }
}

async function openOnce(k: Kernels, gadget: Gadget, material: Material, link: Link) {
  const opened = gadget.open(material)
  link.send(Kind.opening, Phase.online, 0, opened.message.u8())
  const reply = upload(k.memory, await link.receive(Kind.reply, Phase.online, 0, gadget.sizes.reply))
  gadget.finish(opened, material, reply)?.release()
  reply.release()
}

async function answerOnce(k: Kernels, gadget: Gadget, link: Link): Promise<void> {
  const message = upload(k.memory, await link.receive(Kind.opening, Phase.online, 0, gadget.sizes.opening))
  const reply = gadget.answer(message)
  link.send(Kind.reply, Phase.online, 0, reply.u8())
  reply.release()
  message.release()
}

export const mcc: Backend = {
  name: 'mcc',
  // It starts a batch and ends with the result.
  timed: ['server'],
  ...{ variants, memory, messages, cost, uniform, quantise, predictedWrong, local, party },
}
