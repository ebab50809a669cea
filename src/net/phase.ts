// The phases of a session, as they stand in a frame's header.

export const Phase = { setup: 0, offline: 1, online: 2 } as const
export type PhaseName = keyof typeof Phase
export type PhaseCode = (typeof Phase)[PhaseName]

/** Names in the order of their codes. */
export const PHASE_NAMES: readonly PhaseName[] = ['setup', 'offline', 'online']
