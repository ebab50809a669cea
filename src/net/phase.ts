// The phases of a session, as they stand in a frame's header.

/** Set-up once per session, preparation once per inference, and the inference itself. */
export const Phase = { setup: 0, offline: 1, online: 2 } as const
/** A phase by its name. */
export type PhaseName = keyof typeof Phase
/** A phase by its number, as it stands in frames. */
export type PhaseCode = (typeof Phase)[PhaseName]

/** Names in the order of their codes. */
export const PHASE_NAMES: readonly PhaseName[] = ['setup', 'offline', 'online']
