export { sampleBelow } from './sample'
export { snnShareBits, snnCompare, snnRotate, snnAnyZero } from './compare'
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
} from './shares'
export { snnTruncate, gather64, scatter64, snnPatchSums } from './values'
