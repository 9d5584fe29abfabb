/**
 * The reaper itself: a POSIX shell script, because a shell takes 2 MB where Node takes 40. It reads what to watch over
 * from its input and, when that ends, ends all that is left of it. Knows numbers only: nothing it is told is ever run
 * or expanded.
 *
 * Input, one per line: `+ g PID START` a process group by its leader, `+ p PID START` a single process, with `-` for
 * `+` to take it back. START `-` = not known. Its argument says how to look at processes: `proc` or `ps`.
 */
export const reaperScript = `
trap '' HUP INT TERM
set -f
how=$1
groups=' '
victims=' '
while read -r verb kind pid start rest; do
  case "$pid" in ''|0*|1|*[!0-9]*) continue ;; esac
  case "$start" in ''|*[!0-9A-Za-z:_-]*) continue ;; esac
  it=" $pid/$start "
  case "$verb$kind" in
    +g) groups="\${groups% }$it" ;;
    +p) victims="\${victims% }$it" ;;
    -g) case "$groups" in *"$it"*) groups="\${groups%%"$it"*} \${groups#*"$it"}" ;; esac ;;
    -p) case "$victims" in *"$it"*) victims="\${victims%%"$it"*} \${victims#*"$it"}" ;; esac ;;
  esac
done
[ "$groups$victims" = '  ' ] && exit 0

# Fills $table: one line per process with pid, parent, group, session, start.
look() {
  table=
  if [ "$how" = proc ]; then
    set +f; set -- /proc/[0-9]*; set -f
    for path; do
      stat=
      { read -r stat < "$path/stat"; } 2>/dev/null
      case "$stat" in *') '*) ;; *) continue ;; esac
      set -- \${stat##*) }
      [ "$1" = Z ] || table="$table\${path#/proc/} $2 $3 $4 \${20}
"
    done
  else
    rows=$(ps -A -o pid= -o ppid= -o pgid= -o lstart=)
    while read -r p pp pg begun; do
      set -- $begun
      table="$table$p $pp $pg $pg $1_$2_$3_$4_$5
"
    done <<END
$rows
END
  fi
}

# Fills $roots with the groups that are still the ones meant, and leaves in $victims who is alive and itself. A group
# outlives its leader, and while it does its id is not given out again; so only a leader with another start tells of a
# stranger.
check() {
  reused=' '
  alive=' '
  while read -r p pp pg sid start; do
    case "$groups" in
      *" $p/$start "*|*" $p/- "*) ;;
      *" $p/"*) reused="$reused$p " ;;
    esac
    case "$victims" in *" $p/$start "*|*" $p/- "*) alive="$alive$p/$start " ;; esac
  done <<END
$table
END
  victims=$alive
  roots=' '
  for it in $groups; do
    case "$reused" in *" \${it%%/*} "*) ;; *) roots="$roots\${it%%/*} " ;; esac
  done
}

# Adds to $victims everybody in a group or session of $roots, and every descendant of a victim.
grow() {
  more=yes
  while [ -n "$more" ]; do
    more=
    while read -r p pp pg sid start; do
      case "$p" in ''|1|$$) continue ;; esac
      case "$victims" in *" $p/$start "*) continue ;; esac
      case "$victims" in
        *" $pp/"*) ;;
        *) case "$roots" in *" $pg "*|*" $sid "*) ;; *) continue ;; esac ;;
      esac
      victims="$victims$p/$start "
      more=yes
    done <<END
$table
END
  done
}

strike() {
  for it in $roots; do kill -s "$1" -- "-$it"; done 2>/dev/null
  for it in $victims; do kill -s "$1" "\${it%%/*}"; done 2>/dev/null
}

look; check; grow
strike TERM
for turn in 1 2 3 4 5 6 7; do
  sleep 0.1 2>/dev/null || sleep 1
  look; check; grow
  [ "$victims" = ' ' ] && exit 0
  [ "$turn" -lt 5 ] || strike KILL
done
`
