// What every gadget of a step does: its lengths, and its part at each of the three parties. gadgets.ts says which one a step
// has and keeps a table per part, so that a bundle has the parts of its party alone; dealing, walking a plan and adding up
// costs know no more of it.
//
//   off line   helper → server   what it is dealt: a part for the opening, a part for the reply
//   on line 1  server → client   an opening
//   on line 2  client → server   a reply
//              server            x̂ of the step's result
import type { Kernels, Region } from '../../kernels/instance.js'
import type { Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import type { ClientGuard, HelperGuard, ServerGuard } from './guard/inference.js'
import type { GuardTerms } from './guard/terms.js'
import type { AnsweredStep } from './step.js'

/** Byte lengths; every party computes them from the plan. */
export interface GadgetSizes {
  readonly opening: number
  readonly reply: number
  /** Of the parts that both travel in; not given where that is one. */
  readonly parts?: readonly PartSizes[]
  /** Of what is dealt: what the server opens with, and what it reads the reply with. */
  readonly dealt: { readonly opening: number; readonly reply: number }
}

/** What of an opening and its reply belongs to one part of a step. */
export interface PartSizes {
  readonly opening: number
  readonly reply: number
}

export interface DealerStreams {
  /** Shared with the client, with the server, and nobody's but the helper's. */
  readonly ch: Streams
  readonly sh: Streams
  readonly own: Streams
}

interface Common<Guard> {
  readonly k: Kernels
  readonly inference: number
  readonly ring: number
  /** Of a guarded plan. */
  readonly guard?: Guard
}

/** Helper. */
export interface Dealing extends Common<HelperGuard> {
  readonly streams: DealerStreams
  /** m of the step's y, where it has a linear part. */
  readonly m?: Region
  /** r of a tensor, which stays the caller's. */
  readonly mask: (tensor: number) => Region
}

/** Client, before the opening comes. */
export interface Drawing extends Common<ClientGuard> {
  readonly ch: Streams
  /** r of the step's result, one word per element. */
  readonly next: Region
  /** r of a tensor, which becomes the gadget's. */
  readonly mask: (tensor: number) => Region
}

/** What a reply is made of beside the opening: streams of the client's seed. */
export interface Drawn {
  /** @param message the opening of a part; @param reply out */
  answer(message: Region, reply: Region, part: number): void
  release(): void
}

/** Server, before it opens. */
export interface Opening extends Common<ServerGuard> {
  readonly sh: Streams
  /** ŷ of a step that has a linear part. */
  readonly y: Region
  /** x̂ of a tensor, which stays the caller's. */
  readonly tensor: (index: number) => Region
  /** The part of what was dealt that is for the opening; used up. */
  readonly dealt: Region
}

/** What the server keeps between its opening and the client's reply. */
export interface Opened {
  /** Makes the opening of a part, each once and in order. Whoever sends it releases it. */
  message(part: number): Region
  /** What can be done of `finish` before the reply is there. @param dealt the part that is for the reply */
  prepare?(dealt: Region): void
  /**
   * x̂ of the step's result, one word per element, as far as its parts have come. The caller releases it.
   * @param x of the parts before
   */
  finish(reply: Region, dealt: Region, part: number, x?: Region): Region
  release(): void
}

/** A server draws no more bytes than these before ŷ is there: the largest steps would take memory for themselves. */
export const MOST_AHEAD = 2 ** 22

/** What all parties know of a gadget from the plan. */
export interface Lengths {
  sizes(step: AnsweredStep<ReluNumbers>, ring: number, terms: GuardTerms | null): GadgetSizes
  /** Bytes that `Open` takes, where it needs neither ŷ nor x̂, which `message` reads: then it may be called before they are there. */
  ahead?(step: AnsweredStep<ReluNumbers>): number
}

/** Lengths of a gadget that opens with its tables and ends with its words. */
export const comparing = <S extends AnsweredStep<ReluNumbers>>(
  sizesOf: (step: S, ring: number) => { opening: number; reply: number; tables: number; words: number },
): Lengths => ({
  sizes(step, ring) {
    const { opening, reply, tables, words } = sizesOf(step as S, ring)
    return { opening, reply, dealt: { opening: tables, reply: words } }
  },
})

/** Helper: writes what the step is dealt. @param message out, as long as both parts */
export type Deal = (dealing: Dealing, step: AnsweredStep, message: Region) => void
/** Server: opens. */
export type Open = (opening: Opening, step: AnsweredStep) => Opened
/** Client: draws what its replies take. */
export type Draw = (drawing: Drawing, step: AnsweredStep) => Drawn
