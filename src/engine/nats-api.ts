// What is used of @nats-io/transport-node, jetstream and kv. They are optional: ringfence is installed and compiled without
// them, so their types are named here; test/engine runs them against a broker.

export interface NatsConnection {
  close(): Promise<void>
  drain(): Promise<void>
}

export interface TransportModule {
  connect(options: {
    servers: string
    name?: string
    user?: string
    pass?: string
    authenticator?: unknown
    maxReconnectAttempts?: number
    reconnectTimeWait?: number
  }): Promise<NatsConnection>
  credsAuthenticator(creds: Uint8Array): unknown
}

export interface JsMsg {
  readonly data: Uint8Array
  readonly info: { readonly deliveryCount: number }
  ack(): void
  working(): void
  nak(ms?: number): void
  /** Without a reason, which brokers before 2.10.4 do not understand. */
  term(): void
}

export interface ConsumerMessages extends AsyncIterable<JsMsg> {
  stop(error?: Error): void
}

export interface JetStream {
  publish(
    subject: string,
    payload: Uint8Array,
    options?: { msgID?: string; timeout?: number },
  ): Promise<{ duplicate: boolean }>
  consumers: {
    get(
      stream: string,
      consumer: string,
    ): Promise<{ consume(options: { max_messages: number; expires?: number }): Promise<ConsumerMessages> }>
  }
}

export interface JetStreamManager {
  streams: {
    info(stream: string): Promise<{ state: { messages: number } }>
    add(config: Record<string, unknown> & { name: string }): Promise<unknown>
  }
  consumers: {
    info(stream: string, consumer: string): Promise<{ num_pending: number; num_ack_pending: number }>
    add(stream: string, config: Record<string, unknown>): Promise<unknown>
  }
}

export interface JetStreamModule {
  jetstream(connection: NatsConnection): JetStream
  jetstreamManager(connection: NatsConnection, options?: { checkAPI?: boolean }): Promise<JetStreamManager>
}

export interface KvModule {
  Kvm: new (
    connection: NatsConnection,
  ) => {
    create(bucket: string, options?: Record<string, unknown>): Promise<KeyValue>
    open(bucket: string): Promise<KeyValue>
  }
}

export interface KeyValue {
  create(key: string, value: Uint8Array): Promise<number>
  get(key: string): Promise<{ readonly value: Uint8Array } | null>
}
