/**
 * ringfence for Node: listen for parties over WebSockets, read model folders, and do on files what the commands do.
 * @module ringfence/node
 */

export type { Attack, Audit, AuditOptions, Target } from './audit/audit.js'
export type { Verdict } from './audit/rank.js'
export type { Party } from './audit/views.js'
export { RingfenceError } from './errors.js'
export { type CalibrateModelOptions, calibrateModel, type ModelCalibration } from './files/calibrate-model.js'
export { type ConvertedFiles, type ConvertFilesOptions, convertFiles } from './files/convert-files.js'
export {
  type EvaluateModelOptions,
  evaluateModel,
  type ModelEvaluation,
  type VariantRow,
} from './files/evaluate-model.js'
export { type ImageSet, type ImageSetOptions, readImageSet } from './files/image-set.js'
export { type InspectedModel, type InspectModelOptions, inspectModel } from './files/inspect-model.js'
export {
  type MeasureDistortionOptions,
  type MeasuredDistortion,
  measureDistortion,
} from './files/measure-distortion.js'
export type { MeasuringOptions } from './files/measuring.js'
export { loadModelDirectory, type ModelDirectory, type Sample } from './files/model-directory.js'
export { type PlanChoicesOptions, type PlannedChoices, planModelChoices } from './files/plans/plan-choices.js'
export { type ForecastCosts, type PlanModelOptions, type PlannedModel, planModel } from './files/plans/plan-model.js'
export { findModel, type PreparedModel, packagedModels, prepareModel } from './files/prepared-model.js'
export { type AuditedModel, type AuditModelOptions, auditModel } from './files/training/audit-model.js'
export { type FinetunedModel, type FinetuneModelOptions, finetuneModel } from './files/training/finetune-model.js'
export { type FinetuneRoundsOptions, finetuneRounds, type Round } from './files/training/finetune-rounds.js'
export { type SearchedModel, type SearchModelOptions, searchModel } from './files/training/search-model.js'
export type { RefusalReason } from './net/access/credentials.js'
export type { AccessDecision, AccessRequest, Authorize, GateOptions } from './net/access/gate.node.js'
export type { Exchange, ExchangeCall } from './net/exchange/exchange.js'
export type { ExchangeAt } from './net/exchange/http.node.js'
export type { Allowance, Peer, PeerRole, Principal } from './net/index.js'
export {
  type Admitted,
  type ConnectionInfo,
  type Listener,
  type ListenOptions,
  listen,
  type Refused,
  type TlsIdentity,
} from './net/websocket-server.node.js'
export type { DealerPool } from './party/helper/dealing.js'
export { startDealers } from './party/helper/threads.node.js'
export type { MaskRecipe, Recipe } from './train/recipe.js'
export type { CostTerms, ExpectedCost } from './train/search/objective.js'
export type { ChanceRecipe } from './train/search/recipe.js'
export type { SearchEpoch } from './train/search/state.js'
export type { EpochRecord } from './train/state.js'
export type { OnStage, StageProgress } from './tune/progress.js'
export { startThreads } from './tune/workers/pool.node.js'
