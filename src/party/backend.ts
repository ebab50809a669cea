// What the parties leave to a back end: everything between the handshake and the answer.
import type { ErrorCode, RingfenceError } from '../errors.js'
import type { Kernels } from '../kernels/instance.js'
import type { Frame, Link, Meter, Peer } from '../net/index.js'
import type { QuantizedModel } from '../plan/compile/compile.js'
import type { Plan } from '../plan/plan.js'
import type { DealerStreams } from '../protocol/mcc/gadget.js'
import type { PlannedSteps } from '../protocol/step.js'
import type { ModelShare } from '../protocol/weights.js'
import type { Seed } from '../random/seed.js'
import type { Streams } from '../random/streams.js'
import type { Place } from './admission.js'
import type { ClientNetwork } from './client/client-network.js'
import type { CallOptions } from './client/client-options.js'
import type { Dealer } from './client/dealer.js'
import type { Owners } from './delegated/owners.js'
import type { ServerStatus } from './events.js'
import type { Grants } from './grant.js'
import type { ModelDealer } from './helper/dealing.js'
import type { HelpedSession, HelpedSessions } from './helper/helped-sessions.js'
import type { Attendance } from './helper/registered.js'
import type { SessionLinks } from './helper/session-links.js'
import type { Ledger } from './ledger.js'
import type { Deliveries } from './mcc/deliveries.js'
import type { Kept } from './mcc/keeping.js'
import type { Turns } from './options.js'
import type { Registration } from './registration.js'

/** A connected client: plan and seeds are agreed. */
export interface ClientContext<P extends Plan = Plan> {
  readonly k: Kernels
  /** What other connections of this client use as well; `planned` is part of it. */
  readonly network: ClientNetwork
  /** As the server calls it. */
  readonly session: Uint8Array
  readonly server: Link
  /** Connects to the helper when first asked. */
  readonly dealer: Dealer
  readonly planned: PlannedSteps<P>
  /** Prepared material is kept; only on `mcc`. */
  readonly kept: Kept | undefined
  readonly meter: Meter
  readonly deadlineMs: number
  readonly source: () => Seed
}

export interface RawResult {
  readonly inference: number
  /** Fixed-point integers of `scale` fraction bits. */
  readonly raw: Int32Array
  readonly scale: number
}

export interface ClientBackend {
  /** Inferences that can start without preparation; Infinity where none needs any. */
  readonly prepared: number
  prepare(count: number, options: CallOptions): Promise<void>
  /** Takes a prepared inference out of what is ready; prepares one when none is. */
  claim(options: CallOptions): Promise<void>
  /** Uses up what was claimed. @param input signed fixed-point words, CHW */
  infer(input: Int32Array, options: CallOptions): Promise<RawResult>
  /** Forgets what is prepared and wipes seeds of its own; those of the context are wiped by the caller. */
  release(): void
}

/** A server that is registered with its helper. */
export interface ServerContext<P extends Plan = Plan> {
  readonly k: Kernels
  readonly bias: QuantizedModel['bias']
  readonly planned: PlannedSteps<P>
  /** W */
  readonly share: ModelShare
  readonly helper: Link
  /** Of the registration that lasts. */
  readonly grants: () => Grants
  readonly deadlineMs: number
  /** The material of an inference has come. */
  readonly onBundle?: (milliseconds: number) => void
}

/** One client of a server. */
export interface ClientSession {
  readonly id: Uint8Array
  readonly name: string
  readonly link: Link
  readonly peer: Peer
  readonly meter: Meter
  /** Shared with the helper. */
  readonly sh: Streams
  /** Of the registration it belongs to, shared with the helper; only for guarded plans. */
  readonly registration: Streams | undefined
  readonly ledger: Ledger
  /** Whom its room in the store counts for. */
  readonly owner: string
  /** Where it waits, for one thing at a time. */
  readonly place: Place
}

export interface ServerBackend {
  /** Longest payload of a client's request. */
  readonly requestBytes: number
  /** Takes in what the helper sends unasked, until its link ends. @throws RingfenceError why it ended */
  attend(): Promise<never>
  /** Everyone who waits for the helper learns that it is gone. */
  helperLost(error: RingfenceError): void
  /** The server is registered again; sessions from before go on without preparing more. */
  helperBack(helper: Link, registration: Registration): void
  join(session: ClientSession): Promise<SessionBackend>
  /** Bundles that dealers bring past the helper's link. */
  readonly deliveries?: Deliveries
  /** Material dealt ahead. */
  readonly stored: ServerStatus['store']
  /** Clients that wait for their turn. */
  readonly waiting: number
  /** Whether clients may come back for what they prepared: they need no helper. */
  readonly hasKept: boolean
  /** Requests of owners, where a delegate can play the client. */
  readonly owners?: Owners
  /** Frees what outlives connections. */
  release(): void
}

export interface SessionBackend {
  /** Whether it has ever been given room or made an inference: until then its client may not stay for long. */
  readonly engaged: boolean
  /** Answers one request; false when the frame is none. */
  serve(frame: Frame): Promise<boolean>
  release(): void
}

/** One server with one model, as the helper knows it. */
export interface HelpedServer<P extends Plan = Plan> {
  readonly link: Link
  readonly planned: PlannedSteps<P>
  readonly digest: Uint8Array
  /** F, where this thread holds it. */
  readonly share: ModelShare | undefined
  /** Makes bundles; only on `mcc`. */
  readonly dealer: ModelDealer | undefined
  /** What a guarded plan adds, on its way to the dealer from the moment on that clients can know of the registration. */
  guard: Promise<void> | undefined
  readonly seed: Seed
  /** Where bundles are brought; undefined: over its link. */
  readonly deliverAt: string | undefined
  readonly grants: Grants
  /** Bundles that are dealt, or dealt and not sent; sessions take turns at them. */
  readonly making: Turns
  /** Bundles do not interleave on the server's link. */
  readonly mutex: Turns
  /** Deals that are waited for. */
  readonly deals: Set<Promise<void>>
  readonly sessions: HelpedSessions
  /** Its clients. */
  readonly attendance: Attendance
  /** The server's connections for its clients, by session. */
  readonly sessionLinks: SessionLinks
  /** Inferences in progress on `securenn`, by the client's link: what they read is freed after them. */
  readonly running: Map<Link, Promise<void>>
  /** False once the server has left: what its clients still ask for is refused. */
  open: boolean
}

/** One client of such a server. */
export interface HelpedClient<P extends Plan = Plan> {
  readonly k: Kernels
  readonly link: Link
  readonly registration: HelpedServer<P>
  readonly session: Uint8Array
  /** The public key it showed, in hexadecimal. */
  readonly key: string
  readonly held: HelpedSession
  readonly streams: DealerStreams
  /** The material of an inference was dealt. */
  readonly onBundle?: (milliseconds: number) => void
  /** An inference that the helper took part in has ended. */
  readonly onInference?: (milliseconds: number, error?: ErrorCode) => void
  readonly deadlineMs: number
  readonly idleMs: number
  /** As `idleMs`, before its first request. */
  readonly unusedMs: number
}
