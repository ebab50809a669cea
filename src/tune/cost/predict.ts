// What an inference costs, before anybody runs it: flights, bytes per link, material and seconds per role of any plan on
// any network. Bytes and flights are those the protocols declare and the meters show; seconds follow from a model of the
// machine and a simulation of who waits for whom.
import type { NetworkProfile } from '../../net/index.js'
import type { MccPlan, Plan, SecurennPlan } from '../../plan/plan.js'
import { type PlanLayout, planLayout } from '../../protocol/layout.js'
import { offlineMessages, onlineMessages, planCost } from '../../protocol/mcc/cost.js'
import { heldBytes } from '../../protocol/mcc/material.js'
import { planMemory } from '../../protocol/memory.js'
import { securennCost, onlineMessages as securennMessages } from '../../protocol/securenn/cost.js'
import { ROLES, type Role } from '../../protocol/transcript.js'
import { DEFAULT_MACHINE } from './default-machine.js'
import type { MachineModel } from './machine.js'
import { offlinePrograms, onlinePrograms } from './mcc-programs.js'
import { type Network, schedule, type Timeline } from './schedule.js'
import { securennPrograms } from './securenn-programs.js'

export type { Role } from '../../protocol/transcript.js'
export { DEFAULT_MACHINE } from './default-machine.js'
export type { MachineModel } from './machine.js'
export type { Network } from './schedule.js'

/** On which lines and which machines. */
export interface PredictOptions {
  /** Between client and server, and client and helper. */
  readonly profile: NetworkProfile
  /** Between server and helper, `up` from the server. Default 0.2 ms and 1 Gbit/s. */
  readonly helperProfile?: NetworkProfile
  /** Between client and helper, where it is another than `profile`. */
  readonly clientHelperProfile?: NetworkProfile
  readonly machine?: MachineModel
  /** Processors that all three parties share; without it each has a machine of its own. */
  readonly cores?: number
}

/** Payload bytes of one inference, or, in a total, bytes with frame headers. */
export interface OnlineBytes {
  /** Client to server and back. */
  readonly up: number
  readonly down: number
  /** The helper's links; zero on `mcc`. */
  readonly clientHelper: number
  readonly serverHelper: number
  readonly helperServer: number
}

/** Payload bytes that prepare one inference, or, in a total, bytes with frame headers. */
export interface OfflineBytes {
  /** Client to server: δ. */
  readonly clientUp: number
  readonly helperToServer: number
}

/** What one step of the plan costs. */
export interface StepPrediction {
  readonly id: string
  readonly comparisons: number
  /** One-way waves; those of steps that share a round trip are their first one's. With input and start they make the total. */
  readonly flights: number
  /** Payload. */
  readonly online: OnlineBytes
  readonly offline: OfflineBytes
  /** From the end of the step before until the client is done with this one. */
  readonly seconds: number
}

/** What one inference costs, step by step and in total. */
export interface CostPrediction {
  readonly backend: Plan['backend']
  readonly network: string
  readonly steps: readonly StepPrediction[]
  readonly total: {
    readonly comparisons: number
    readonly flights: number
    /** Frame headers included: what the meters show. */
    readonly online: OnlineBytes
    readonly offline: OfflineBytes
    /** Memory the server needs for one prepared inference. */
    readonly material: { readonly serverBytes: number }
    /** Memory that each party's kernels take at most. */
    readonly memory: Readonly<Record<Role, number>>
    readonly seconds: {
      readonly online: number
      /** Until the server holds the material of one inference; 0 on `securenn`. */
      readonly offline: number
      /** Seconds that each party computes. */
      readonly perRole: Readonly<Record<Role, { readonly online: number; readonly offline: number }>>
    }
  }
}

const LAN: NetworkProfile = { rttMs: 0.2, upBitsPerSecond: 1e9, downBitsPerSecond: 1e9 }

/** Predicts one inference of a compiled plan. */
export function predict(plan: Plan, options: PredictOptions): CostPrediction {
  return plan.backend === 'mcc' ? predictMcc(planLayout(plan), options) : predictSecurenn(planLayout(plan), options)
}

function networkOf({ profile, helperProfile = LAN, clientHelperProfile = profile }: PredictOptions): Network {
  return { clientServer: profile, clientHelper: clientHelperProfile, serverHelper: helperProfile }
}

const NO_HELPER = { clientHelper: 0, serverHelper: 0, helperServer: 0 }

function predictMcc(layout: PlanLayout<MccPlan>, options: PredictOptions): CostPrediction {
  const { machine = DEFAULT_MACHINE, cores } = options
  const network = networkOf(options)
  const messages = { online: onlineMessages(layout), offline: offlineMessages(layout) }
  const cost = planCost(layout, messages)
  const online = schedule(onlinePrograms(layout, machine, messages.online), network, cores)
  const offline = schedule(offlinePrograms(layout, machine, messages.offline), network, cores)
  const seconds = stepSeconds(online)
  const steps = cost.steps.map(({ id, comparisons, flights, ...bytes }, i) => ({
    ...{ id, comparisons, flights, offline: bytes.offline, seconds: seconds[i] },
    online: { ...bytes.online, ...NO_HELPER },
  }))
  return {
    ...{ backend: 'mcc', network: layout.plan.network, steps },
    total: {
      comparisons: sum(steps, ({ comparisons }) => comparisons),
      flights: cost.total.flights,
      online: { ...cost.total.online, ...NO_HELPER },
      offline: cost.total.offline,
      material: { serverBytes: heldBytes(layout) },
      memory: memoryOf(layout),
      seconds: {
        online: finish(online),
        offline: finish(offline),
        perRole: perRole(online, offline),
      },
    },
  }
}

function predictSecurenn(layout: PlanLayout<SecurennPlan>, options: PredictOptions): CostPrediction {
  const { machine = DEFAULT_MACHINE, cores } = options
  const messages = securennMessages(layout)
  const cost = securennCost(layout, messages)
  const online = schedule(securennPrograms(layout, machine, messages), networkOf(options), cores)
  const seconds = stepSeconds(online)
  const nothing = { clientUp: 0, helperToServer: 0 }
  const steps = cost.steps.map(({ id, comparisons, flights, payload }, i) => ({
    ...{ id, comparisons, flights, online: payload, offline: nothing, seconds: seconds[i] },
  }))
  return {
    ...{ backend: 'securenn', network: layout.plan.network, steps },
    total: {
      comparisons: sum(steps, ({ comparisons }) => comparisons),
      flights: cost.flights,
      online: cost.total,
      offline: nothing,
      material: { serverBytes: 0 },
      memory: memoryOf(layout),
      seconds: { online: finish(online), offline: 0, perRole: perRole(online) },
    },
  }
}

function memoryOf(layout: PlanLayout): Readonly<Record<Role, number>> {
  const { client, server, helper } = planMemory(layout.plan, layout)
  return { client, server, helper }
}

const sum = <T>(list: readonly T[], of: (item: T) => number): number =>
  list.reduce((total, item) => total + of(item), 0)

/** On line the client is the last; off line it may know before the server has all. */
const finish = ({ end }: Timeline): number => Math.max(...ROLES.map((role) => end[role])) / 1000

function stepSeconds({ steps }: Timeline): number[] {
  return steps.map((end, i) => (end - (i === 0 ? 0 : steps[i - 1])) / 1000)
}

function perRole(online: Timeline, offline?: Timeline): CostPrediction['total']['seconds']['perRole'] {
  const of = (role: Role) => ({ online: online.busy[role] / 1000, offline: (offline?.busy[role] ?? 0) / 1000 })
  return { client: of('client'), server: of('server'), helper: of('helper') }
}
