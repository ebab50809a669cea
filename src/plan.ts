/**
 * ringfence for planning: convert, inspect, calibrate, evaluate, compile, declare costs, run the plain references.
 * @module ringfence/plan
 */

export type { ConvertedNetwork } from './convert/arch-draft.js'
export {
  type Conversion,
  type ConvertedCounts,
  type ConvertOptions,
  convertFile,
  type Product,
  TARGETS,
  type Target,
} from './convert/convert-file.js'
export { detectFormat, type FileFormat } from './convert/detect.js'
export { convertOnnx, type OnnxOptions } from './convert/onnx/onnx.js'
export { type ConvertedReluSpec, convertReluSpec, type ReluSpecOptions } from './convert/pickle/relu-spec.js'
export { convertTfjs, type TfjsOptions } from './convert/tfjs/tfjs.js'
export { type FitOptions, type FittedWeights, fitWeights } from './convert/weights/fit.js'
export { type NumpyOptions, readNpy, readNpz } from './convert/weights/npy.js'
export { readWeights, type WeightOptions } from './convert/weights/read.js'
export type { StoredTensor, TensorMap } from './convert/weights/stored-tensor.js'
export { readTorch, type TorchOptions } from './convert/weights/torch.js'
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
export type { Json } from './model/json/fields.js'
export type {
  AffineMap,
  AlongAxis,
  AvgPool,
  BatchNorm,
  ChannelScale,
  Choice,
  Clip,
  Concat,
  Conv2d,
  ConvTranspose2d,
  DepthToSpace,
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
  Pointwise,
  Reshape,
  Resize,
  ShortcutA,
  Slice,
  Subsample,
  Transpose,
  WeightedSum,
} from './model/layers/layers.js'
export type { TensorName } from './model/parameters.js'
export { type ComparisonWindow, type LayerRelu, parseReluSpec, type ReluSpec } from './model/relu/spec.js'
export { type PlannedRelu, type ReluSpecFile, reluSpecFile } from './model/relu/spec-file.js'
export { pruneSkipRelus, shuffleRelus } from './model/reshape/shuffle.js'
export {
  alignedGrowths,
  balancedWidths,
  grownWidths,
  type Stage,
  stagesOf,
  withoutStem,
  withStageWidths,
} from './model/reshape/widths.js'
export { readSafetensors, type Tensor, writeSafetensors } from './model/safetensors.js'
export { architectureSchema } from './model/schema.js'
export type { Shape } from './model/shape.js'
export { bindWeights, type LayerTensors, type Weights } from './model/weights.js'
export type { NetworkProfile } from './net/shaper.js'
export { type Calibration, calibrate, parseCalibration, type Windows } from './plan/calibrate.js'
export { chooseChunks } from './plan/compile/chunks.js'
export { type Compiled, type CompileOptions, compile } from './plan/compile/compile.js'
export { type LayerRounding, MOST_LOST } from './plan/compile/rounding.js'
export { type ChannelFactors, equalize } from './plan/equalize/equalize.js'
export type { GuardSummary } from './plan/guard.js'
export {
  type Backend,
  type Bends,
  type Curve,
  type Guard,
  type MccActivation,
  type MccPlan,
  type Plan,
  type PoolWindows,
  planDigest,
  type Quadratic,
  type SecurennActivation,
  type SecurennPlan,
  type StepRelu,
} from './plan/plan.js'
export { runReference } from './plan/reference/reference.js'
export { type PlanMemory, planMemory } from './protocol/memory.js'
export type { Role } from './protocol/transcript.js'
export { decodeFixed, encodeFixed } from './ring/codec.js'
export { type ChoicePlan, type ChoicePlanOptions, planChoices } from './tune/allocation/choice-plan.js'
export { type ChoiceTable, parseChoiceTable } from './tune/allocation/choice-table.js'
export type { SpecCost } from './tune/allocation/relu-moves.js'
export {
  type Budget,
  type Objective,
  planRelus,
  planRelus as plan,
  type ReluPlan,
  type ReluPlanOptions,
} from './tune/allocation/relu-plan.js'
export type { Agreement } from './tune/calibration/agreement.js'
export {
  type CalibrationOptions,
  type CalibrationProgress,
  type CalibrationTarget,
  calibrateNetwork,
  type NetworkCalibration,
} from './tune/calibration/calibrate-network.js'
export { channelFactors, type FactorOptions, type FactorsPer } from './tune/calibration/channel-factors.js'
export { formatRangesPart, type MeasuredRanges, parseRangesPart, rangesKey } from './tune/calibration/part.js'
export { calibrationOf, measureRanges, type Ranges, type RangesOptions } from './tune/calibration/ranges.js'
export type { LayerSample, RangesSetup } from './tune/calibration/ranges-job.js'
export { type GainOptions, measureGains } from './tune/calibration/window-gains.js'
export {
  type ChosenWindows,
  chooseWindows,
  type LayerWindow,
  type WindowOptions,
  type WindowTarget,
  type WrongSigns,
  wrongSigns,
} from './tune/calibration/windows.js'
export type { ComparisonCosts, MachineModel, RingCosts } from './tune/cost/machine.js'
export { measureMachine } from './tune/cost/measure.js'
export {
  type CostPrediction,
  DEFAULT_MACHINE,
  type OfflineBytes,
  type OnlineBytes,
  type PredictOptions,
  predict,
  type StepPrediction,
} from './tune/cost/predict.js'
export {
  type PublishedCosts,
  type PublishedLatency,
  type PublishedTraffic,
  publishedCosts,
} from './tune/cost/published.js'
export { shapePlan } from './tune/cost/shape-plan.js'
export { predictedCosts, type SpecCostOptions } from './tune/cost/spec-cost.js'
export {
  COMMON_BLOCKS,
  type DistortionOptions,
  type DistortionProgress,
  distortion,
  MASK_SHARES,
} from './tune/distortion/distortion.js'
export type { LayerMasks } from './tune/distortion/nested-masks.js'
export { formatDistortionPart, parseDistortionPart } from './tune/distortion/part.js'
export {
  type DistortionTable,
  type DistortionTableOptions,
  formatDistortionTable,
  type LayerDistortion,
  parseDistortionTable,
} from './tune/distortion/table.js'
export {
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type KnownLogits,
  type PrivateScore,
  type Score,
} from './tune/evaluation/evaluate.js'
export {
  type CalibratedNetwork,
  type EvaluationRow,
  evaluateNetwork,
  type NetworkEvaluationOptions,
  type WindowChoice,
} from './tune/evaluation/evaluate-network.js'
export type { FloatSetup } from './tune/evaluation/logits-job.js'
export {
  type Folding,
  type InspectedLayer,
  type Inspection,
  type InspectOptions,
  inspectNetwork,
} from './tune/inspection/inspect-network.js'
export type { GroupedProgress } from './tune/knapsack/groups.js'
export { measurementKey } from './tune/part.js'
export type { OnStage, StageProgress } from './tune/progress.js'
export type { JobKind, Result as JobResult, Setup as JobSetup, Task as JobTask } from './tune/workers/jobs.js'
export type { PoolOptions, StartPool, WorkerPool } from './tune/workers/pool.js'
