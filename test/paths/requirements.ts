/** What the paths are tested for: each requirement with the place in the specification it comes from. */
const spec = 'https://modelcontextprotocol.io/specification'
const modern = `${spec}/2026-07-28`
const legacy = `${spec}/2025-11-25`

export const requirements = {
  'open': [`${modern}/basic/versioning`, 'a client of any revision is answered in its own era'],
  'list.complete': [`${modern}/server/utilities/pagination`, 'every page of every list arrives, in order, under public names'],
  'call.result': [`${modern}/server/tools`, 'a call reaches its tool under the own name and its result comes back whole'],
  'call.error': [`${modern}/basic`, 'an error of a server arrives with its code, data and keys'],
  'call.unknown': [`${modern}/server/tools`, 'an unknown tool is -32602'],
  'id.typed': [`${legacy}/basic`, 'ids are answered as they came: 1 is not "1"'],
  'id.duplicate': [`${legacy}/basic`, 'an id in flight twice: one -32600 and one result'],
  'progress': [`${modern}/basic/patterns/progress`, 'progress arrives on the client’s own token, in order, before the result'],
  'progress.unasked': [`${modern}/basic/patterns/progress`, 'nobody asked for progress, nobody hears of it'],
  'cancel': [`${modern}/basic/patterns/cancellation`, 'a cancellation reaches the server that works on it, and no other'],
  'ask.elicitation': [`${modern}/client/elicitation`, 'an elicitation reaches the person and the answer the server'],
  'ask.sampling': [`${modern}/client/sampling`, 'a sampling request reaches the client and its answer the server'],
  'ask.roots': [`${modern}/client/roots`, 'a roots request is answered by the client'],
  'ask.rounds': [`${modern}/basic/patterns/mrtr`, 'a tool may ask several times'],
  'ask.apart': [`${modern}/basic/patterns/mrtr`, 'two clients who are asked at once each answer their own'],
  'state.foreign': [`${modern}/basic/patterns/mrtr`, 'a state that is not ours is -32602, and nothing is forwarded'],
  'log': [`${modern}/server/utilities/logging`, 'log lines of a call reach the client that wants them'],
  'resource.read': [`${modern}/server/resources`, 'a resource is read under its own URI'],
  'resource.updated': [`${modern}/basic/patterns/subscriptions`, 'an update reaches those who subscribed'],
  'list.changed': [`${modern}/basic/patterns/subscriptions`, 'a list that really changed is announced'],
  'prompt': [`${modern}/server/prompts`, 'a prompt is found under its public name'],
  'completion': [`${modern}/server/utilities/completion`, 'a completion reaches the server its reference belongs to'],
  'custom.request': [`${modern}/basic/versioning`, 'a method nobody knows goes to the server that claims it'],
  'custom.notification': [`${modern}/basic/versioning`, 'an extension’s notification of a client reaches the servers'],
  'shape': [`${modern}/basic`, 'an answer has the shape of the client’s era, whatever the server’s'],
  'isolation': [`${legacy}/architecture`, 'what one server offers is not touched by another that fails'],
} as const satisfies Record<string, readonly [string, string]>

export type Requirement = keyof typeof requirements

/** The title of a test: the requirement it shows, in words and by its place. */
export const shows = (id: Requirement): string => `${id}: ${requirements[id][1]} (${requirements[id][0]})`
