/**
 * The person at the terminal as a client of the gateway: calls go straight to its handler, and what a server asks in between
 * is answered by questions on the terminal. Knows no protocol era: an ask is known by its kind only.
 */
import type { House } from '../app/build.ts'
import { packageName, protocolRevisions, version } from '../app/version.ts'
import type { Cancellation } from '../gateway/cancellation.ts'
import type { Ask, ClientProfile, JsonObject } from '../gateway/contract.ts'
import { McpError } from '../gateway/errors.ts'
import { fillForm, type Answer } from './form.ts'
import { printable, type Io } from './io.ts'
import { questioner, type Questioner } from './question.ts'

/** Rounds of questions one call may take: a server that never has enough must not hold a person for ever. */
const maxRounds = 16
/** Wait before calling again when a server asked for nothing but to be called again, milliseconds. */
const emptyRoundMs = 200

export interface TerminalCall {
  readonly method: string
  readonly params: JsonObject
}

export interface Terminal {
  readonly io: Io
  readonly cancellation: Cancellation
  /** Whether progress and log messages of the server are shown. */
  readonly quiet: boolean
}

export const terminalProfile: ClientProfile = {
  id: 'terminal',
  principal: 'local',
  info: { name: packageName, version },
  capabilities: { elicitation: { form: {}, url: {} } },
  revision: protocolRevisions[0] as string,
  logLevel: undefined,
}

/** Makes a call and answers what servers ask until it is complete. Throws the McpError that ends it. */
export async function callFromTerminal(house: House, { method, params }: TerminalCall, terminal: Terminal): Promise<JsonObject> {
  const { io, cancellation, quiet } = terminal
  const watched = io.stderr.isTTY === true && !quiet
  const progress = watched ? progressLine(io) : undefined
  let answers: JsonObject | undefined
  let state: string | undefined
  let from: string | undefined
  try {
    for (let round = 0; round < maxRounds; round++) {
      const outcome = await house.gateway.handle({
        method,
        params,
        client: terminalProfile,
        cancellation,
        progress: progress?.show,
        log: watched ? line => void io.stderr.write(`${logText(line, io)}\n`) : undefined,
        inputResponses: answers,
        requestState: state,
        continues: from,
      })
      progress?.clear()
      if (outcome.kind === 'complete') return outcome.result
      answers = await answerAll(house, outcome.requests ?? {}, outcome.from ?? 'the server', terminal)
      if (Object.keys(outcome.requests ?? {}).length === 0) await new Promise(resolve => setTimeout(resolve, emptyRoundMs))
      state = outcome.requestState
      from = outcome.from
    }
  } finally {
    progress?.clear()
  }
  throw new McpError('TOO_MANY_ROUNDS', `${from ?? 'the server'} asked ${maxRounds} times and still wants more`)
}

async function answerAll(
  house: House,
  asks: Readonly<Record<string, Ask>>,
  from: string,
  terminal: Terminal,
): Promise<JsonObject> {
  const { io } = terminal
  const answers: JsonObject = {}
  const ask = io.stdin.isTTY === true && io.stderr.isTTY === true ? questioner(io) : undefined
  try {
    for (const [key, request] of Object.entries(asks)) {
      const answer = await answerOne(house, request, from, io, ask)
      if (answer) answers[key] = answer
    }
  } finally {
    ask?.close()
  }
  return answers
}

async function answerOne(
  house: House,
  request: Ask,
  from: string,
  io: Io,
  ask: Questioner | undefined,
): Promise<Answer | undefined> {
  const kind = house.askKind(request)
  if (kind !== 'form' && kind !== 'url') {
    const refusal = new McpError('ASK_UNSUPPORTED', `${from} asks for something a terminal cannot give (${request.method})`)
    // A server that waits hears the refusal and may go on without; for the others the call ends here.
    if (!request.live) throw refusal
    request.live.refuse(refusal)
    return undefined
  }
  const clean = (text: string): string => printable(text, io.stderr)
  const message = typeof request.params?.['message'] === 'string' ? request.params['message'] : ''
  if (!ask) {
    io.stderr.write(`note: ${from} asks “${clean(message)}”: declined, because nobody is at a terminal to answer\n`)
    return { action: 'decline' }
  }
  ask.say(`\n${from} asks: ${clean(message)}`)
  return kind === 'form' ? fillForm(request.params?.['requestedSchema'], ask, clean) : consent(request, ask, clean)
}

/** The whole address is shown and never opened for the person: where it leads is theirs to judge. */
async function consent(request: Ask, ask: Questioner, clean: (text: string) => string): Promise<Answer> {
  const url = String(request.params?.['url'] ?? '')
  ask.say(`  It wants you to open this page in your browser:\n\n    ${clean(url)}\n\n  Open it yourself if you trust it.`)
  const agreed = await ask.yes('Continue?', false)
  if (agreed === undefined) return { action: 'cancel' }
  return { action: agreed ? 'accept' : 'decline' }
}

/** One line on stderr that each progress message writes anew. */
function progressLine({ stderr }: Io): { show: (params: JsonObject) => void; clear: () => void } {
  let shown = false
  return {
    show({ progress, total, message }) {
      const share =
        typeof progress === 'number' && typeof total === 'number' && total > 0
          ? `${Math.floor((100 * progress) / total)} %`
          : String(progress)
      const text = printable(typeof message === 'string' ? `${share} ${message}` : share, stderr).replaceAll('\n', ' ')
      stderr.write(`\r\x1b[2K${text.slice(0, (stderr.columns ?? 80) - 1)}`)
      shown = true
    },
    clear() {
      if (shown) stderr.write('\r\x1b[2K')
      shown = false
    },
  }
}

function logText({ level, logger, data }: JsonObject, io: Io): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  return printable(`${String(level ?? 'info')}${typeof logger === 'string' ? ` ${logger}` : ''}: ${text}`, io.stderr)
}
