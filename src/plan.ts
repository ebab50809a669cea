// ringfence for planning: read model files, calibrate, compile, declare costs, run the plain references.

export type { ConvertedNetwork } from './convert/arch-draft.js'
export { detectFormat, type FileFormat } from './convert/detect.js'
export { type FitOptions, type FittedWeights, fitWeights } from './convert/fit-weights.js'
export { type NumpyOptions, readNpy, readNpz } from './convert/npy.js'
export { convertOnnx, type OnnxOptions } from './convert/onnx.js'
export { readWeights, type WeightOptions } from './convert/read-weights.js'
export { type ConvertedReluSpec, convertReluSpec, type ReluSpecOptions } from './convert/relu-spec-pickle.js'
export { convertTfjs, type TfjsOptions } from './convert/tfjs.js'
export { readTorch, type TorchOptions } from './convert/torch.js'
export { RingfenceError } from './errors.js'
export { FloatNetwork, type FloatOptions } from './float/network.js'
export type { FloatPass } from './float/pass.js'
export { runFloat } from './float/run.js'
export { type Architecture, expandArchitecture, parseArchitecture } from './model/architecture.js'
export { type Choices, parseChoices } from './model/choices.js'
export { countNetwork } from './model/count.js'
export { type LayerRelu, parseReluSpec, type ReluSpec } from './model/relu-spec.js'
export { readSafetensors, writeSafetensors } from './model/safetensors.js'
export { bindWeights, type Weights } from './model/weights.js'
export { type Calibration, calibrate, parseCalibration } from './plan/calibrate.js'
export { chooseChunks } from './plan/chunks.js'
export { type Compiled, type CompileOptions, compile } from './plan/compile.js'
export { type Plan, planDigest } from './plan/plan.js'
export { runReference } from './plan/reference.js'
export { measureMachine } from './planner/cost/measure.js'
export { type PublishedCosts, publishedCosts } from './planner/cost/published.js'
export { type CostPrediction, DEFAULT_MACHINE, predict } from './planner/cost-model.js'
export type { Crew, CrewOptions, Hire } from './planner/crew.js'
export { COMMON_BLOCKS, type DistortionOptions, type DistortionProgress, distortion } from './planner/distortion.js'
export { formatDistortionPart, measurementKey, parseDistortionPart } from './planner/distortion-part.js'
export {
  type DistortionTable,
  formatDistortionTable,
  type LayerDistortion,
  parseDistortionTable,
} from './planner/distortion-table.js'
export {
  type Budget,
  type Objective,
  planRelus,
  planRelus as plan,
  type ReluPlan,
  type ReluPlanOptions,
  type ReluSpecFile,
  type SpecCost,
} from './planner/relu-plan.js'
export { shapePlan } from './planner/shape-plan.js'
export { predictedCosts, type SpecCostOptions } from './planner/spec-cost.js'
export { decodeFixed, encodeFixed } from './ring/codec.js'
