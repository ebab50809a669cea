export { sampleBelow } from './sample.ts'
export { snnShareBits, snnCompare, snnRotate, snnAnyZero } from './compare.ts'
export {
  snnWindow,
  snnAddWrap,
  snnReduceEven,
  snnReduceOdd,
  snnSubOdd,
  snnAddOdd,
  snnShareFlag,
  snnLowBit,
  snnThreshold,
  snnConvert,
  snnOpenXor,
  snnProduct,
  snnSign,
} from './shares.ts'
export { snnTruncate, gather64, scatter64, snnPatchSums } from './values.ts'
