/**
 * For tests and for judges, never for users: all three parties in one process, chosen seeds, and the masks of a private
 * run, so that it can be rerun in plain text. Chosen seeds are refused on every channel that leaves the process.
 * @module ringfence/testing
 */

export {
  type LocalOptions,
  type LocalParties,
  localPair,
  localParties,
  type MaskSeeds,
  revealMasks,
} from './party/local/parties.js'
export { AUDIT, type Audit, SEEDS } from './party/options.js'
export {
  type Masks,
  type MccMasks,
  type ReferenceRun,
  runReference,
  type SecurennMasks,
} from './plan/reference/reference.js'
