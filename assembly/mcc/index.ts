export { mccDeal, mccDeal64 } from './deal.ts'
export { mccRead, mccRead64, mccWalk } from './read.ts'
export {
  mccMaskTruncated,
  mccAddTruncated,
  mccDealRho,
  mccDealSelect,
  mccDealExtend,
  mccSelect,
  mccExtend,
} from './select.ts'
export { gather32, scatter32, gatherBits, patchSums, split64, join64 } from './gather.ts'
