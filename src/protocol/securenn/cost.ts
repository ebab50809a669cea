// The declared cost of a whole `securenn` plan over all three links, to the byte.
import { HEADER_BYTES } from '../../net/index.js'
import { elementCount, tensorShape } from '../../plan/plan.js'
import { piecesOf } from '../pieces.js'
import { isActive } from '../step.js'
import { comparedBits } from './drelu.js'
import { reluCost } from './relu.js'
import type { SecurennReluStep, SecurennStep, SecurennSteps } from './step.js'

/** Bytes of one inference per link. */
export interface LinkBytes {
  /** Client to server and back. */
  readonly up: number
  readonly down: number
  /** Client to helper; nothing comes back. */
  readonly clientHelper: number
  readonly serverHelper: number
  readonly helperServer: number
}

export interface SecurennStepCost {
  readonly id: string
  readonly comparisons: number
  /** One-way waves that wait for each other, over all links. */
  readonly flights: number
  /** Payload, without frame headers. */
  readonly payload: LinkBytes
}

export interface SecurennPlanCost {
  readonly steps: readonly SecurennStepCost[]
  readonly flights: number
  /** Frame headers included: what the meters show. */
  readonly total: LinkBytes
}

/** Bytes of a frame that says which inference starts. */
const START_BYTES = 8

/** Messages of a step, in bytes, per direction. */
type Messages = Readonly<Record<keyof LinkBytes, readonly number[]>>

export function securennCost({ plan, steps }: SecurennSteps): SecurennPlanCost {
  const start: Messages = {
    up: [START_BYTES, elementCount(tensorShape(plan, 0)) * 8],
    down: [],
    clientHelper: [START_BYTES],
    serverHelper: [START_BYTES],
    helperServer: [],
  }
  const messages = steps.map(stepMessages)
  const costs = steps.map((step, i) => ({
    id: step.step.id,
    comparisons: step.relu?.comparisons ?? 0,
    flights: stepFlights(step),
    payload: sum([messages[i]], 0),
  }))
  // The start and, from the helper, what the first step needs: the input arrives meanwhile.
  const flights = costs.reduce((total, cost) => total + cost.flights, 2)
  return { steps: costs, flights, total: sum([start, ...messages], HEADER_BYTES) }
}

/** The tensor goes out with the client's last opening, or with what came before: no flight of its own. The output is one. */
function stepFlights(step: SecurennStep): number {
  return isActive(step) ? reluCost(step).flights : 1
}

function sum(messages: readonly Messages[], header: number): LinkBytes {
  const along = (link: keyof LinkBytes): number =>
    messages.flatMap((each) => each[link]).reduce((total, bytes) => total + bytes + header * piecesOf(bytes), 0)
  return {
    up: along('up'),
    down: along('down'),
    clientHelper: along('clientHelper'),
    serverHelper: along('serverHelper'),
    helperServer: along('helperServer'),
  }
}

function stepMessages(step: SecurennStep): Messages {
  const linear = step.size * 8
  if (!isActive(step)) return { up: [], down: [linear], clientHelper: [], serverHelper: [], helperServer: [linear] }
  const { up, down, clientHelper, serverHelper, helperServer } = reluMessages(step)
  return {
    up: [...up, step.relu.results * 8],
    down,
    clientHelper,
    serverHelper,
    helperServer: [linear, ...helperServer],
  }
}

function reluMessages({ activation, relu }: SecurennReluStep): Messages {
  const { comparisons: n, switched } = relu
  if (n === 0) return { up: [], down: [], clientHelper: [], serverHelper: [], helperServer: [] }
  const digits = n * comparedBits(activation)
  const opened = [8 * n, 16 * n, 8 * (switched + n)]
  const toHelper = [8 * n, digits, digits]
  const halves = [24 * n + 2 * digits, 8 * n, 16 * n, 8 * switched]
  return { up: opened, down: opened, clientHelper: toHelper, serverHelper: toHelper, helperServer: halves }
}
