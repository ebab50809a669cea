// Attacks on private inference, and whether they find anything: pictures are rebuilt from what parties see. The same attacks
// are shown to work where nothing hides the values, and where a mask is used twice.
import { RingfenceError } from '../errors.js'
import { Tape } from '../gradient/tape.js'
import { partOf } from '../model/part.js'
import { bodyOf } from '../model/tail/split.js'
import type { PartyOptions } from '../party/options.js'
import type { Calibration } from '../plan/calibrate.js'
import { type Compiled, compile } from '../plan/compile/compile.js'
import type { MccPlan } from '../plan/plan.js'
import { freshWeights } from '../train/search/supernet.js'
import type { OnStage } from '../tune/progress.js'
import {
  gradientsOf,
  invertFeatures,
  type KnownNetwork,
  leakedByGradients,
  matchGradients,
  stretched,
} from './invert.js'
import { rangeOf, type Verdict, verdictOf } from './rank.js'
import { regressed, type ViewData } from './regress.js'
import { type Party, recordViews } from './views.js'

/** A network with what it takes to compile it. */
export interface AuditedNetwork extends KnownNetwork {
  readonly calibration: Calibration
}

/** How much is attacked, and how long. */
export interface AuditOptions {
  /** Pictures that are attacked: default 50, at least 10. */
  readonly pictures?: number
  /** Steps of each inversion: default 300. */
  readonly steps?: number
  readonly signal?: AbortSignal
  readonly onProgress?: OnStage
  /** @internal Of the three parties; tests choose seeds. */
  readonly party?: PartyOptions
}

/** What an attack is made on. */
export type Target =
  /** Values that nothing hides, or one mask for all: the attack has to succeed. */
  | 'control'
  /** What a party sees: the attack has to fail. */
  | 'view'
  /** The answer, which is the client's: what it says of its picture, whoever is shown it learns. */
  | 'answer'

/** One attack, and what it came to. */
export interface Attack {
  readonly target: Target
  readonly party: Party | null
  readonly of: string
  /**
   * By a descent through the network, from the input of the last layer as its gradients show it, towards a picture of the
   * same gradients, or by a linear map learned from other inferences.
   */
  readonly by: 'inversion' | 'gradients' | 'matching' | 'regression'
  readonly verdict: Verdict
  /** Whether p is below the level. */
  readonly found: boolean
  /** Reconstructions of the first few pictures. */
  readonly shown: readonly Float32Array[]
}

/** All attacks, and whether they found anything. */
export interface Audit {
  readonly attacks: readonly Attack[]
  /** p below which an attack has found something: a thousandth, shared out among all attacks on views. */
  readonly level: number
  /** Other inferences that regression learned from. */
  readonly recorded: number
  /** Views in which an attack found something: none is as it should be. */
  readonly leaks: number
  /** Controls in which an attack found nothing: then it proves nothing. */
  readonly blind: number
  /** The first few pictures. */
  readonly shown: readonly Float32Array[]
}

const LEVEL = 1e-3
/** Permutations by attack on a view, so that p can be well below the level. */
const PERMUTATIONS = 3000
const SHOWN = 8
/** Gradients are matched in so many times the steps of an inversion, for the pictures that are shown alone. */
const MATCHING = 3
/** Of fewer pictures too few permutations are left for p to reach the level. */
const LEAST = { pictures: 10, recorded: 16 }

/**
 * Runs all inputs privately on `mcc`, the parties in this process, and attacks what each of them saw of the first ones;
 * the others are what regression learns from.
 * @throws RingfenceError BAD_INPUT for too few inputs; UNSUPPORTED for a network that has no gradients; as `compile`;
 *   PROTOCOL where a private run is not bit for bit what its masks make of it; ABORTED by `signal`
 */
export async function auditNetwork(
  network: AuditedNetwork,
  inputs: readonly Float32Array[],
  { pictures: count = 50, steps = 300, signal, onProgress, party }: AuditOptions = {},
): Promise<Audit> {
  const [attacked, others] = [inputs.slice(0, count), inputs.slice(count)]
  requireEnough(attacked.length, others.length)
  const compiled = compile(network.arch, network.weights, network.calibration, network.spec) as Compiled<MccPlan>
  const { views, answers, reused } = await recordViews(compiled, bodyOf(network.arch), inputs, {
    ...{ kept: attacked.length, party, signal },
    onProgress: (done) => onProgress?.({ stage: 'running privately', done: done / inputs.length }),
  })
  const how = { steps, signal, ...rangeOf(attacked) }
  const planned: Planned[] = []
  const invert = (target: Target, party: Party | null, of: string, layer: string | undefined, values: Values) =>
    planned.push({ target, party, of, by: 'inversion', make: () => invertFeatures(network, layer, values, how) })
  const regress = (target: Target, party: Party | null, of: string, data: ViewData) =>
    planned.push({ target, party, of, by: 'regression', make: () => regressed(data, others, attacked.length) })

  const first = views.find(({ values }) => values?.layer !== undefined)?.values?.layer
  if (first) invert('control', null, `values of ${first}, in plain text`, first, plainValues(network, first, attacked))
  const leaked = leakedByGradients(network, attacked)
  if (leaked) {
    const make = () => invertFeatures(network, leaked.layer, leaked.values, how)
    planned.push({ target: 'control', party: null, of: 'gradients of the weights', by: 'gradients', make })
  }
  // Where training begins gradients say most: of a network that is sure of its answer they are next to nothing.
  const fresh = { ...network, weights: freshWeights(network.arch, 1) }
  const match = (target: Target, party: Party | null, of: string, pictures: readonly Float32Array[]) => {
    const shared = gradientsOf(fresh, pictures)
    if (!shared) return
    const make = () => matchGradients(fresh, shared, { ...how, steps: MATCHING * steps })
    planned.push({ target, party, of, by: 'matching', make })
  }
  match('control', null, 'gradients of untrained weights', attacked.slice(0, SHOWN))
  regress('control', null, 'x̂ under one mask for all', reused)
  for (const { party, name, data, values } of views) {
    regress('view', party, name, data)
    if (values) invert('view', party, name, values.layer, values.words)
    // What the server could share of what it holds in the picture's place.
    if (values && values.layer === undefined) {
      const held = values.words.slice(0, SHOWN).map((words) => stretched(words, how))
      match('view', party, `gradients by ${name}`, held)
    }
  }
  const output = bodyOf(network.arch).outputs[0]
  invert('answer', 'client', 'logits', output, answers.slice(0, attacked.length))
  regress('answer', 'client', 'logits', asWords(answers))

  const onViews = planned.filter(({ target }) => target === 'view').length
  const level = LEVEL / onViews
  const attacks = planned.map(({ make, ...about }, i): Attack => {
    signal?.throwIfAborted()
    onProgress?.({ stage: 'attacking', done: i / planned.length, detail: about.of })
    const made = make()
    const verdict = verdictOf(made, attacked, PERMUTATIONS * onViews)
    return { ...about, verdict, found: verdict.p < level, shown: made.slice(0, SHOWN) }
  })
  const countOf = (target: Target, found: boolean) =>
    attacks.filter((attack) => attack.target === target && attack.found === found).length
  return {
    ...{ attacks, level, recorded: others.length, shown: attacked.slice(0, SHOWN) },
    ...{ leaks: countOf('view', true), blind: countOf('control', false) },
  }
}

type Values = readonly ArrayLike<number>[]
type Planned = Pick<Attack, 'target' | 'party' | 'of' | 'by'> & { readonly make: () => Float32Array[] }

function requireEnough(pictures: number, recorded: number): void {
  if (pictures >= LEAST.pictures && recorded >= LEAST.recorded) return
  const wanted = `${LEAST.pictures} pictures to attack and ${LEAST.recorded} more to learn from`
  throw new RingfenceError('BAD_INPUT', `an audit takes at least ${wanted}, got ${pictures} and ${recorded}`)
}

function plainValues(network: KnownNetwork, layer: string, pictures: readonly Float32Array[]): Float32Array[] {
  const arch = partOf(bodyOf(network.arch), [layer])
  const tape = Tape.prepare(arch, network.weights, { spec: network.spec, norm: 'running' })
  const values = tape.forward(pictures)
  tape.release()
  return values
}

/** Numbers as words of 32 bits, the largest in the middle of their range. */
function asWords(values: readonly Float32Array[]): ViewData {
  const most = values.reduce((most, one) => one.reduce((m, v) => Math.max(m, Math.abs(v)), most), 1e-30)
  return { words: values.map((one) => Int32Array.from(one, (v) => Math.round((v / most) * 2 ** 29))), bits: 32 }
}
