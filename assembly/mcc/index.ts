export { mccCurve, mccDealCurve } from './curve'
export { mccDeal, mccDeal64 } from './deal'
export {
  mccMacKeys,
  mccLiftSelect,
  mccMacSelect,
  mccMacPassedKeys,
  mccLiftPassed,
  mccMacPassed,
  mccMacDot,
} from './mac'
export { mccDealProduct, mccProduct } from './product'
export { mccAnswerQuadratic, mccDealQuadratic, mccFinishQuadratic } from './quadratic'
export { mccRead, mccRead64, mccWalk } from './read'
export {
  mccMaskTruncated,
  mccAddTruncated,
  mccDealRho,
  mccDealWrap,
  mccDealSelect,
  mccShareAddend,
  mccSelect,
  mccExtend,
} from './select'
export { gather32, scatter32, gatherBits, patchSums, split64, join64 } from './gather'
export { mccDot32, mccSubsetSums } from './sums'
