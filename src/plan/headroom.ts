// Room above the calibrated range of outputs.
/**
 * Bits that outputs on `mcc` have above their margin: no later layer takes the room, and a logit that wraps is a wrong answer
 * whatever the others are. A ring of less than 30 bits has none to spare.
 */
export const outputHeadroom = (ring: number): number => (ring >= 30 ? 2 : 0)
