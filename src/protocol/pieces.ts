// Long messages travel in pieces of this size; both ends compute how many.
export const PIECE_BYTES = 4 * 2 ** 20

export const piecesOf = (bytes: number): number => Math.max(1, Math.ceil(bytes / PIECE_BYTES))

/** Bytes of a message's first piece. */
export const firstPiece = (bytes: number): number => Math.min(PIECE_BYTES, bytes)
