// What the demo found out: per picture the private run beside the plain one, and what crossed the links.
import type { NetworkProfile } from '../../net/index.js'
import type { Judgement } from '../../party/local/judge.js'
import type { LayerRounding } from '../../plan/compile/rounding.js'
import type { Plan } from '../../plan/plan.js'
import type { HelperTraffic, PrivateRun, SetUp } from './demo-facts.js'

export interface DemoImage {
  readonly file: string
  /** Class index the manifest gives; undefined for a picture of the user's. */
  readonly label: number | undefined
  readonly plaintextPrediction: number
  readonly plaintextMs: number
  readonly run: PrivateRun
  readonly judgement: Judgement
}

export interface DemoOutcome {
  readonly model: string
  readonly variant: string
  readonly plan: Plan
  readonly network: { readonly name: string; readonly profile: NetworkProfile } | undefined
  readonly processes: {
    readonly helper: PartyAt
    readonly server: PartyAt
    readonly client: PartyAt
    readonly owner?: PartyAt
  }
  readonly setUp: { readonly server: SetUp; readonly client: SetUp }
  /** The server's link to the helper, per inference but for the set-up. */
  readonly serverHelper: HelperTraffic
  readonly images: readonly DemoImage[]
  /** Layers whose weights lost much when they became integers, if any. */
  readonly coarse?: readonly LayerRounding[]
  /** Of a guarded plan: what became of a client that changed one bit of one message. */
  readonly cheat: { readonly changed: string; readonly code: string } | undefined
}

export interface PartyAt {
  readonly pid: number
  readonly url?: string
}
