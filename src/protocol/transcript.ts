// The messages of a protocol as values: who sends how much to whom, and what a message waits for. Every gadget exports the
// list of its own beside its code, which takes its lengths from the same functions. Declared bytes and flights, predictions,
// the comparison bench and the tables of docs/protocol.md are folds over these lists.
import { HEADER_BYTES } from '../net/index.js'
import type { KindName } from './kinds.js'
import { piecesOf } from './pieces.js'

/** One of the three parties. */
export type Role = 'client' | 'server' | 'helper'
export const ROLES = ['client', 'server', 'helper'] as const

export interface Message {
  readonly kind: KindName
  readonly from: Role
  readonly to: Role
  /** Payload, without frame headers. */
  readonly bytes: number
  /** That of each part, where it travels as several. */
  readonly parts?: readonly number[]
  /** It leaves when its sender has received everything of earlier stages that goes to it. Stage 0 waits for nothing. */
  readonly stage: number
  /** Dealt ahead, before there is an input. */
  readonly offline?: boolean
}

export const framesOf = ({ bytes, parts = [bytes] }: Message): number =>
  parts.reduce((sum, part) => sum + piecesOf(part), 0)

/** Bytes on the wire, frame headers included. */
export const wireBytes = (message: Message): number => message.bytes + HEADER_BYTES * framesOf(message)

/** Bytes per direction of the three links. */
export interface LinkBytes {
  /** Client to server and back. */
  readonly up: number
  readonly down: number
  /** Client to helper; only control frames come back, and those of no inference. */
  readonly clientHelper: number
  readonly serverHelper: number
  readonly helperServer: number
}

/** @param bytes of one message: its payload, unless told otherwise */
export function linkBytes(messages: readonly Message[], bytes = (message: Message) => message.bytes): LinkBytes {
  const along = (sender: Role, receiver: Role) =>
    messages.reduce((sum, message) => {
      return message.from === sender && message.to === receiver ? sum + bytes(message) : sum
    }, 0)
  return {
    up: along('client', 'server'),
    down: along('server', 'client'),
    clientHelper: along('client', 'helper'),
    serverHelper: along('server', 'helper'),
    helperServer: along('helper', 'server'),
  }
}

/** Payload over all links. */
export const totalBytes = (messages: readonly Message[]): number => messages.reduce((sum, { bytes }) => sum + bytes, 0)

/** What `role` sends and receives, in the order of stages, before what others send in the same one. */
export function messagesOf<M extends Message>(role: Role, messages: readonly M[]): M[] {
  const place = ({ stage, from }: Message) => 2 * stage + (from === role ? 0 : 1)
  return messages.filter(({ from, to }) => from === role || to === role).sort((a, b) => place(a) - place(b))
}

export const lastStage = (messages: readonly Message[]): number =>
  messages.reduce((last, { stage }) => Math.max(last, stage), 0)

/** Messages that go on where `stage` ended. */
export const after = (stage: number, messages: readonly Message[]): Message[] =>
  messages.map((message) => ({ ...message, stage: stage + message.stage }))

/**
 * The parts of an inference one after the other: the start, then its steps. Those of one group run side by side; stage 0
 * of a group is the last one of the group before.
 */
export function chained(groups: readonly (readonly (readonly Message[])[])[]): Message[][] {
  let stage = 0
  return groups.flatMap((group) => {
    const parts = group.map((messages) => after(stage, messages))
    stage = parts.reduce((last, messages) => Math.max(last, lastStage(messages)), stage)
    return parts
  })
}

/** By how many one-way waves every part makes the longest chain of messages longer, of which each waits for the one before. */
export function partFlights(parts: readonly (readonly Message[])[]): number[] {
  const received: Record<Role, number> = { client: 0, server: 0, helper: 0 }
  const waves = new Map<Message, number>()
  const all = parts.flat().sort((a, b) => a.stage - b.stage)
  for (let i = 0; i < all.length; ) {
    const first = i
    for (; i < all.length && all[i].stage === all[first].stage; i++) waves.set(all[i], received[all[i].from] + 1)
    for (const message of all.slice(first, i)) {
      received[message.to] = Math.max(received[message.to], waves.get(message)!)
    }
  }
  let last = 0
  return parts.map((messages) => {
    const before = last
    for (const message of messages) last = Math.max(last, waves.get(message)!)
    return last - before
  })
}

/** The longest chain of messages of which each waits for the one before. */
export const flights = (messages: readonly Message[]): number => partFlights([messages])[0]
