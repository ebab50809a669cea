// Which back end serves a plan, and with what.
import type { Kernels } from '../kernels/instance.js'
import { checkUrl, type Link } from '../net/index.js'
import type { QuantizedModel } from '../plan/compile/compile.js'
import type { MccPlan, SecurennPlan } from '../plan/plan.js'
import type { SecretModel } from '../protocol/held-model.js'
import type { PlannedSteps } from '../protocol/step.js'
import type { ModelShare } from '../protocol/weights.js'
import type { ServerBackend, ServerContext } from './backend.js'
import type { Grants } from './grant.js'
import { STORE_SHARE } from './mcc/reservations.js'
import { MccServer } from './mcc/server.js'
import { deadlineOf, linkTo } from './options.js'
import type { Registration } from './registration.js'
import { SecurennServer } from './securenn/server.js'
import type { ConnectHelper, ServerOptions } from './server-options.js'

/** A server that is registered, before it serves anybody. */
export interface Registered {
  readonly k: Kernels
  /** The weights. */
  readonly model: SecretModel
  readonly bias: QuantizedModel['bias']
  readonly planned: PlannedSteps
  readonly share: ModelShare
  readonly helper: Link
  readonly registration: Registration
  readonly connectHelper: ConnectHelper | undefined
  readonly options: ServerOptions
}

/** @param grants of the registration that lasts */
export function serverBackend(
  { k, bias, planned, share, helper, connectHelper, registration, options }: Registered,
  grants: () => Grants,
): ServerBackend {
  const onBundle = (milliseconds: number) => options.onEvent?.({ kind: 'bundle', milliseconds })
  const context = { k, bias, planned, share, helper, grants, deadlineMs: deadlineOf(options), onBundle }
  if (planned.plan.backend === 'mcc') {
    const { storeBytes = 512 * 2 ** 20, storeShare = STORE_SHARE, keepMs = 600_000, keptAt = '' } = options
    if (keptAt !== '') checkUrl(keptAt)
    return new MccServer(context as ServerContext<MccPlan>, { storeBytes, storeShare, keepMs, keptAt })
  }
  const open = async () => linkTo('helper', await connectHelper!(), options, options.meter)
  return new SecurennServer(context as ServerContext<SecurennPlan>, registration, open)
}
