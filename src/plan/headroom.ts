// Room above the calibrated range of outputs.
/**
 * Bits that outputs on `mcc` have above their margin: no later layer takes the room, and a logit that wraps is a wrong answer
 * whatever the others are.
 */
export const OUTPUT_HEADROOM = 2
