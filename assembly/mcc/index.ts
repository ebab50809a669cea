export { mccDeal } from './deal'
export { mccRead, mccWalk } from './read'
export {
  mccMaskTruncated,
  mccAddTruncated,
  mccDealRho,
  mccDealSelect,
  mccDealExtend,
  mccSelect,
  mccExtend,
} from './select'
export { gather32, scatter32, gatherBits, patchSums } from './gather'
