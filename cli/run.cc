// SPDX-License-Identifier: Apache-2.0
//
// See the header: everything that can fail comes before the start.

#include "cli/run.h"

#include "cli/base/own_limits.h"
#include "cli/base/signals.h"
#include "cli/join/group_signals.h"
#include "cli/join/launch.h"
#include "cli/join/orphans.h"
#include "cli/join/preflight.h"
#include "cli/join/preload_object.h"
#include "cli/join/rendezvous.h"
#include "cli/watcher.h"

namespace leakwatch {

int run(const RunOptions& options) {
  const OwnLimits limits;
  const Signals signals;
  GroupSignals group;
  const Preflight preflight = inspect_command(options.command[0]);
  Rendezvous rendezvous;
  Child child({preflight.command, options.command, rendezvous.plain_path(preload_object(preflight.own_operators)),
               rendezvous.path()},
              signals.before(), limits.descriptors_before());
  Watcher watcher(options, signals, rendezvous, {child.pid(), child.pidfd(), options.command, preflight.warnings});
  watcher.announce();
  child.start();
  watcher.watch({.on_signal =
                     [&](const signalfd_siginfo& info) {
                       // One to the whole group, as from the terminal, has reached the program too; one to us alone is
                       // passed on.
                       const int number = static_cast<int>(info.ssi_signo);
                       if (info.ssi_code <= 0 && !group.reached_group(number)) kill(child.pid(), number);
                     },
                 .on_tend =
                     [&] {
                       group.tend();
                       reap_orphans({child.pid(), group.witness()});
                     },
                 .on_silence = "the program has not called back: it may have dropped LD_PRELOAD from its environment "
                               "(env -i, sudo)"});
  const int status = child.wait();
  watcher.conclude();  // whatever there is to show, the status is the program's
  return status;
}

}  // namespace leakwatch
