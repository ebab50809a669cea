// ringfence for planning: read model files, calibrate, compile, declare costs, run the plain references.

export type { ConvertedNetwork } from './convert/arch-draft.js'
export { detectFormat, type FileFormat } from './convert/detect.js'
export { type FitOptions, type FittedWeights, fitWeights } from './convert/fit-weights.js'
export { type NumpyOptions, readNpy, readNpz } from './convert/npy.js'
export { convertOnnx, type OnnxOptions } from './convert/onnx.js'
export { readWeights, type WeightOptions } from './convert/read-weights.js'
export { type ConvertedReluSpec, convertReluSpec, type ReluSpecOptions } from './convert/relu-spec-pickle.js'
export type { StoredTensor, TensorMap } from './convert/stored-tensor.js'
export { convertTfjs, type TfjsOptions } from './convert/tfjs.js'
export { readTorch, type TorchOptions } from './convert/torch.js'
export { RingfenceError } from './errors.js'
export { FloatNetwork, type FloatOptions } from './float/network.js'
export type { FloatPass } from './float/pass.js'
export { type OnValue, runFloat } from './float/run.js'
export type { Chunks } from './kernels/mcc.js'
export {
  type Architecture,
  expandArchitecture,
  type NetworkInput,
  type Preprocess,
  parseArchitecture,
  type WeightNames,
} from './model/architecture.js'
export { type Choices, parseChoices } from './model/choices.js'
export { countNetwork, type LayerCounts, type NetworkCounts } from './model/count.js'
export type { Json } from './model/fields.js'
export type {
  AvgPool,
  BatchNorm,
  ChannelScale,
  Choice,
  Clip,
  Conv2d,
  Layer,
  LayerBase,
  LayerOp,
  LeakyRelu,
  Linear,
  MaxPool,
  Pad,
  PadMap,
  Pair,
  Plain,
  Resize,
  ShortcutA,
  Subsample,
  WeightedSum,
} from './model/layers.js'
export type { TensorName } from './model/parameters.js'
export { type ComparisonWindow, type LayerRelu, parseReluSpec, type ReluSpec } from './model/relu-spec.js'
export { readSafetensors, type Tensor, writeSafetensors } from './model/safetensors.js'
export type { Shape } from './model/shape.js'
export { bindWeights, type LayerTensors, type Weights } from './model/weights.js'
export type { NetworkProfile } from './net/shaper.js'
export { type Calibration, calibrate, parseCalibration, type Windows } from './plan/calibrate.js'
export { chooseChunks } from './plan/chunks.js'
export { type Compiled, type CompileOptions, compile } from './plan/compile.js'
export { type ChannelFactors, equalize } from './plan/equalize.js'
export {
  type Backend,
  type Bends,
  type MccActivation,
  type MccPlan,
  type Plan,
  type PlannedRelu as StepRelu,
  planDigest,
  type SecurennActivation,
  type SecurennPlan,
} from './plan/plan.js'
export { runReference } from './plan/reference.js'
export { channelFactors, type FactorOptions, type FactorsPer } from './planner/channel-factors.js'
export { type ChoicePlan, type ChoicePlanOptions, planChoices } from './planner/choice-plan.js'
export { type ChoiceTable, parseChoiceTable } from './planner/choice-table.js'
export type { ComparisonCosts, MachineModel, RingCosts } from './planner/cost/machine.js'
export { measureMachine } from './planner/cost/measure.js'
export {
  type PublishedCosts,
  type PublishedLatency,
  type PublishedTraffic,
  publishedCosts,
} from './planner/cost/published.js'
export type { Role } from './planner/cost/schedule.js'
export {
  type CostPrediction,
  DEFAULT_MACHINE,
  type OfflineBytes,
  type OnlineBytes,
  type PredictOptions,
  predict,
  type StepPrediction,
} from './planner/cost-model.js'
export type { Crew, CrewOptions, Hire } from './planner/crew.js'
export {
  COMMON_BLOCKS,
  type DistortionOptions,
  type DistortionProgress,
  distortion,
  MASK_SHARES,
} from './planner/distortion.js'
export { formatDistortionPart, measurementKey, parseDistortionPart } from './planner/distortion-part.js'
export {
  type DistortionTable,
  type DistortionTableOptions,
  formatDistortionTable,
  type LayerDistortion,
  parseDistortionTable,
} from './planner/distortion-table.js'
export {
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type KnownLogits,
  type PrivateScore,
  type Score,
} from './planner/evaluate.js'
export type { JobKind, Result as JobResult, Setup as JobSetup, Task as JobTask } from './planner/jobs.js'
export type { GroupedProgress } from './planner/knapsack-groups.js'
export type { FloatSetup } from './planner/logits-post.js'
export type { LayerMasks } from './planner/nested-masks.js'
export { calibrationOf, measureRanges, type Ranges, type RangesOptions } from './planner/ranges.js'
export type { LayerSample, RangesSetup } from './planner/ranges-post.js'
export type { SpecCost } from './planner/relu-moves.js'
export {
  type Budget,
  type Objective,
  type PlannedRelu,
  planRelus,
  planRelus as plan,
  type ReluPlan,
  type ReluPlanOptions,
  type ReluSpecFile,
} from './planner/relu-plan.js'
export { shapePlan } from './planner/shape-plan.js'
export { predictedCosts, type SpecCostOptions } from './planner/spec-cost.js'
export { type GainOptions, measureGains } from './planner/window-gains.js'
export {
  chooseWindows,
  type LayerWindow,
  type WindowOptions,
  type WindowTarget,
  type WrongSigns,
  wrongSigns,
} from './planner/windows.js'
export { decodeFixed, encodeFixed } from './ring/codec.js'
