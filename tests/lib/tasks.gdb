# The tasks of a sentry that waits: their calls, what they have still to look at, and where their fibers stand. For gdb with its
# symbols.
set pagination off
set print symbol on
set $nr = 1
while $nr < 32768
	set $pid = 'sentry/kernel/pid.c'::table[$nr]
	if $pid != 0 && $pid->task != 0
		set $t = $pid->task
		printf "task %d: call %u, in it %d, work %x, flags %x, dead %d, blocked %lx, pending %lx\n", $nr, $t->nr, $t->in_syscall, *(unsigned *)&$t->work, *(unsigned *)&$t->flags, $t->dead, $t->blocked, $t->pending.set
		if $t->tgroup != 0
			printf "its process: threads %d, pending %lx, exits %d\n", $t->tgroup->nr_threads, $t->tgroup->shared_pending.set, *(char *)&$t->tgroup->group_exit
		end
		if $t->fiber != 0
			printf "its fiber: state %d\n", *(int *)&$t->fiber->state
			x/80a $t->fiber->sp
		end
	end
	set $nr = $nr + 1
end
