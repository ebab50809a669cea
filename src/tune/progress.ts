// How far a measurement of several stages is, for whoever waits for it.

/** One stage at a time, each from 0 to 1. */
export interface StageProgress {
  /** What is being done: `measuring`, `probing layers`. */
  readonly stage: string
  /** Share of this stage, 0 to 1. */
  readonly done: number
  /** How far in units of its own, where that says more: `48 of 500 pictures`. */
  readonly detail?: string
}

/** Is told what is being done, and how far. */
export type OnStage = (progress: StageProgress) => void
