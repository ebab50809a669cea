export { sampleBelow } from './sample'
export { snnShareBits, snnCompare, snnRotate, snnAnyZero } from './compare'
