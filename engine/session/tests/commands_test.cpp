// SPDX-License-Identifier: GPL-2.0-or-later
//
// Every command of the table on the embedded machine.
#include <set>

#include "engine/session/commands.hpp"
#include "engine/session/tests/command_lines.hpp"
#include "engine/session/tests/forwarding_target.hpp"
#include "engine/session/verify.hpp"
#include "engine/session/words.hpp"

namespace morsel::session {
namespace {

using CommandsTest = CommandLines;

TEST_F(CommandsTest, CreateShowsTheObjectAndItsRoot)
{
  const Reply r = run("object create a 64M");
  EXPECT_EQ(r.facts["name"], "a");
  EXPECT_EQ(r.facts["bytes"], u64{64} << 20);
  EXPECT_EQ(r.facts["root_level"], "pmd");
  EXPECT_EQ(run("object create b 4K").facts["root_level"], "pte");
  EXPECT_EQ(run("object create c 4K --level pud").facts["root_level"], "pud");
  EXPECT_EQ(run("object create d 2G").facts["root_level"], "pud");
  EXPECT_EQ(run("object list").facts["objects"].size(), 4u);
  EXPECT_EQ(run("object show a").facts, run("object list").facts["objects"][0]);
}

TEST_F(CommandsTest, PopulateUnmapProtectCountThePagesChanged)
{
  run("object create a 4M");
  EXPECT_EQ(run("object populate a 0..16K").facts["changed_pages"], 4);
  EXPECT_EQ(run("object populate a 0..32K").facts["changed_pages"], 4);
  EXPECT_EQ(run("object populate a 2M..4M --leaf 2M").facts["changed_pages"], 512);
  EXPECT_EQ(run("object protect a 4K r").facts["changed_pages"], 1);
  EXPECT_EQ(run("object unmap a 0+8K").facts["changed_pages"], 2);
  EXPECT_EQ(run("object unmap a all").facts["changed_pages"], 6 + 512);
  EXPECT_EQ(run("object show a").facts["frames"], 0);
}

TEST_F(CommandsTest, WatchingIsForDoorsThatStay)
{
  run("object create a 4M");
  EXPECT_NE(failure("tree a --watch").advice().find("subscribes"), std::string::npos);
  EXPECT_EQ(failure("object unmap a 0 --watch").code(), Exit::usage);
}

TEST_F(CommandsTest, ViewsAreNumberedAndNamedByFormat)
{
  run("object create a 4M");
  EXPECT_EQ(run("view add a ept").facts["view"], 1);
  EXPECT_EQ(run("view add a npt").facts["view"], 2);
  EXPECT_EQ(run("view list a").facts["views"].size(), 2u);
  EXPECT_EQ(run("view drop a ept").facts["view"], 1);
  EXPECT_EQ(run("view list a").facts["views"][0]["format"], "npt");
  EXPECT_NE(failure("view drop a primary").found().find("primary"), std::string::npos);
  EXPECT_NE(failure("view drop a 1").advice().find("2 (npt)"), std::string::npos);
  run("view add a npt");
  EXPECT_NE(failure("access a npt 0 read").found().find("2 views of format npt"), std::string::npos);
}

TEST_F(CommandsTest, AccessFillsOnceAndSaysWhoWalked)
{
  run("object create a 4M");
  run("view add a ept");
  EXPECT_EQ(run("access a primary 0x1008 write --value 0x1234").facts["outcome"], "populated");
  const Reply filled = run("access a 1 0x1008 read");
  EXPECT_EQ(filled.facts["outcome"], "filled");
  EXPECT_EQ(filled.facts["value"], "0x1234");
  EXPECT_FALSE(filled.facts["walker"].get<std::string>().empty());
  EXPECT_EQ(run("access a 1 0x1000 read").facts["outcome"], "hit");
  EXPECT_EQ(run("access a 1 0x2000 read").facts["outcome"], "populated");
}

TEST_F(CommandsTest, ADeniedAccessIsACheckThatDoesNotHold)
{
  run("object create a 4M");
  run("view add a ept");
  run("object populate a 0..8K --rights r");
  const Reply denied = run("access a ept 0 write --value 1");
  EXPECT_EQ(denied.facts["outcome"], "denied");
  EXPECT_EQ(denied.status, static_cast<int>(Exit::check_failed));
  EXPECT_FALSE(denied.facts.contains("value"));
  EXPECT_EQ(run("access a ept 1M read --no-populate").facts["outcome"], "denied");
  EXPECT_EQ(run("access a primary 0 exec").status, 1);
}

TEST_F(CommandsTest, AVirtualCpuIsRefusedWhereThereIsNone)
{
  run("object create a 4M");
  EXPECT_EQ(failure("access a primary 0 read --vcpu").code(), Exit::skipped);
  EXPECT_EQ(failure("access a primary 0 read --vcpu --no-touch").code(), Exit::usage);
}

TEST_F(CommandsTest, TreePutsAllViewsBesideThePrimary)
{
  run("object create a 4M");
  run("object populate a 0..16K");
  run("view add a ept");
  run("view add a npt");
  run("access a ept 0 read");
  const Reply r = run("tree a");
  ASSERT_EQ(r.facts["columns"].size(), 3u);
  EXPECT_EQ(r.facts["columns"][1]["title"], "view 1 ept");
  EXPECT_EQ(r.facts["columns"][1]["pages"]["same"], 1);
  EXPECT_EQ(r.facts["columns"][2]["pages"]["unfilled"], 4);
  const Json& rows = r.facts["rows"];
  ASSERT_EQ(rows.size(), 7u);
  EXPECT_EQ(rows[3]["level"], "pte");
  EXPECT_EQ(rows[3]["count"], 1);
  EXPECT_EQ(rows[3]["cells"][1]["state"], "same");
  EXPECT_EQ(rows[3]["cells"][0]["address"], rows[3]["cells"][1]["address"]);
  EXPECT_EQ(rows[3]["cells"][2]["state"], "unfilled");
  EXPECT_EQ(rows[4]["count"], 3);
  EXPECT_NE(r.text.find("0x1000..0x4000 ×3"), std::string::npos) << r.text;
  EXPECT_EQ(run("tree a --view npt").facts["columns"].size(), 2u);
  EXPECT_EQ(run("tree a --view primary").facts["columns"].size(), 1u);
  EXPECT_EQ(run("tree a --depth 0").facts["rows"].size(), 1u);
  EXPECT_EQ(run("tree a --range 0..8K --fold none").facts["rows"].size(), 3u + 2u);
  EXPECT_EQ(failure("tree a --view 1 --all").code(), Exit::usage);
}

TEST_F(CommandsTest, DiffNamesTheStaleEntryAndWhy)
{
  run("object create a 4M");
  run("object populate a 0..16K");
  run("view add a ept");
  for (const char* offset : {"0", "4K", "8K"}) run(std::string("access a ept ") + offset + " read");
  EXPECT_EQ(run("diff a").status, 0);
  const Reply behind = run("diff a ept --behind");
  ASSERT_EQ(behind.facts["views"][0]["runs"].size(), 1u);
  EXPECT_EQ(behind.facts["views"][0]["runs"][0]["state"], "unfilled");
  run("inject add invalidate drop --view 1");
  run("object unmap a 4K");
  const Reply r = run("diff a");
  EXPECT_EQ(r.status, 1);
  EXPECT_EQ(r.facts["clean"], false);
  const Json& runs = r.facts["views"][0]["runs"];
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0]["state"], "stale");
  EXPECT_EQ(runs[0]["start"], 0x1000);
  EXPECT_EQ(runs[0]["end"], 0x2000);
  EXPECT_EQ(runs[0]["primary"]["kind"], "hole");
  EXPECT_EQ(runs[0]["view"]["kind"], "leaf");
  const std::string frame = runs[0]["view"]["address"].get<std::string>();
  EXPECT_NE(runs[0]["why"].get<std::string>().find("still maps frame " + frame), std::string::npos);
  EXPECT_NE(r.text.find("↻ stale 0x1000..0x2000 (1 page)"), std::string::npos) << r.text;
  EXPECT_EQ(run("diff a --range 8K").status, 0);
  const Reply limited = run("diff a --limit 0");
  EXPECT_EQ(limited.facts["views"][0]["runs"].size(), 0u);
  EXPECT_EQ(limited.facts["views"][0]["runs_total"], 1);
}

TEST_F(CommandsTest, WalkDecodesEveryEntryOnTheWay)
{
  run("object create a 4M");
  run("object populate a 0..8K --rights r");
  run("view add a ept");
  run("access a ept 0x1000 read");
  const Reply r = run("walk a ept 0x1234 read");
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.facts["end"], "translated");
  ASSERT_EQ(r.facts["steps"].size(), 4u);
  EXPECT_EQ(r.facts["steps"][0]["level"], "pml4");
  EXPECT_EQ(r.facts["steps"][3]["index"], 1);
  const u64 frame = std::stoull(r.facts["steps"][3]["address"].get<std::string>(), nullptr, 16);
  EXPECT_EQ(r.facts["target"], hex(frame + 0x234));
  EXPECT_EQ(run("walk a primary 0x1234").facts["steps"].size(), 2u);
  EXPECT_EQ(run("walk a ept 0x1234 write").status, 1);
  EXPECT_EQ(run("walk a ept 0x1234 write").facts["end"], "denied");
  EXPECT_EQ(run("walk a ept 2M").status, 1);
  EXPECT_EQ(failure("walk a ept 4M").code(), Exit::usage);
}

// The guest's tables lie in the object: PML4 at 0, PDPT at 4K, PD at 8K, PT at 12K, the page at 16K.
TEST_F(CommandsTest, WalkGoesThroughTwoDimensions)
{
  run("object create a 4M");
  run("view add a ept");
  run("access a primary 0x0000 write --value 0x1067");
  run("access a primary 0x1000 write --value 0x2067");
  run("access a primary 0x2000 write --value 0x3067");
  run("access a primary 0x3028 write --value 0x4067");  // guest page 5
  run("access a primary 0x4000 write --value 0x55");
  for (const char* offset : {"0", "0x1000", "0x2000", "0x3000", "0x4000"})
    run(std::string("access a ept ") + offset + " write --value 0");
  run("access a primary 0x0000 write --value 0x1067");
  run("access a primary 0x1000 write --value 0x2067");
  run("access a primary 0x2000 write --value 0x3067");
  const Reply r = run("walk a ept 0x5010 read --guest 0");
  EXPECT_EQ(r.facts["end"], "translated") << r.text;
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.facts["guest"].size(), 4u);
  EXPECT_EQ(r.facts["nested"].size(), 5u);
  for (const Json& nested : r.facts["nested"]) EXPECT_EQ(nested["steps"].size(), 4u);
  const Json leaf = run("walk a primary 0x4000").facts;
  EXPECT_EQ(r.facts["target"], hex(std::stoull(leaf["target"].get<std::string>(), nullptr, 16) + 0x10));
  EXPECT_EQ(run("walk a ept 0x6000 --guest 0").status, 1);  // the guest maps nothing there
  EXPECT_EQ(failure("walk a primary 0 --guest 0").code(), Exit::usage);
}

TEST_F(CommandsTest, EntryAndFormatsNeedNoTarget)
{
  Session bare{std::unique_ptr<Target>{}};
  const Reply r = bare.execute_line("entry ept pte 0x40003333");
  EXPECT_EQ(r.facts["kind"], "leaf");
  EXPECT_EQ(r.facts["address"], "0x40003000");
  EXPECT_EQ(r.facts["rights"], "rw-");
  EXPECT_EQ(bare.execute_line("entry amd64 pmd 0x2083").facts["reserved_bits"], "0x2000");
  EXPECT_EQ(bare.execute_line("formats").facts["formats"].size(), AllFormats::count);
  const Reply npt = bare.execute_line("formats npt");
  ASSERT_EQ(npt.facts["formats"].size(), 1u);
  EXPECT_EQ(npt.facts["formats"][0]["fields"].size(), find_format(FormatId::npt)->fields.size());
  EXPECT_THROW(bare.execute_line("object list"), Failure);
  EXPECT_THROW(bare.execute_line("entry npt pml5 0"), Failure);
}

TEST_F(CommandsTest, FormatsAreDrawnBitByBit)
{
  const std::string text = run("formats riscv_sv39").text;
  EXPECT_NE(text.find(R"(
  leaf at level 1
    63   62 61   60 54   53           19   18 10   9 8   7   6   5   4   3   2   1   0
  +----+-------+-------+-----------------+-------+-----+---+---+---+---+---+---+---+---+
  | 0  | PBMT  |   0   |      frame      |   0   | RSW | D | A | G | U | X | W | R | V |
  +----+-------+-------+-----------------+-------+-----+---+---+---+---+---+---+---+---+
)"),
            std::string::npos)
      << text;
  const Json facts = run("formats riscv_sv39x4").facts["formats"][0];
  EXPECT_EQ(facts["root_bytes"], 16384);
  EXPECT_EQ(facts["dirty_by"], "write right");
  EXPECT_EQ(facts["rights"], Json({"r--", "rw-", "--x", "r-x", "rwx"}));
  const std::string page = run("formats --markdown").text;
  for (const FormatInfo& f : format_table) EXPECT_NE(page.find("## " + std::string(f.name) + "\n"), std::string::npos);
}

TEST_F(CommandsTest, CountersReturnToZero)
{
  run("object create a 4M");
  run("view add a ept");
  run("access a ept 0 read");
  EXPECT_EQ(run("counters").facts["views"], 1);
  EXPECT_GT(run("counters").facts["tables"], 3);
  run("object destroy a");
  const Json c = run("counters").facts;
  for (const char* name :
       {"objects", "views", "tables", "frames", "attachments", "contexts", "bad_entries", "own_pages"})
    EXPECT_EQ(c[name], 0) << name;
}

TEST_F(CommandsTest, AGuestIsMissingWhereThereIsNone)
{
  EXPECT_EQ(failure("run true").code(), Exit::skipped);
  EXPECT_EQ(run("kernel-log").facts["text"], "");
  EXPECT_EQ(run("target").facts["kind"], "embedded");
}

TEST_F(CommandsTest, BadValuesAreRefusedBeforeAnythingIsDone)
{
  run("object create abc 4M");
  run("object populate abc 0..8K");
  run("view add abc ept");
  const Json before = run("tree abc").facts;
  const std::pair<const char*, const char*> table[] = {
      {"object create x 0", "4 KiB"},
      {"object create x 4097", "4 KiB"},
      {"object create x 2G --level pmd", "1 GiB"},
      {"object create x 4K --level pml4", "root"},
      {"object create abc 4M", "exists"},
      {"object create a/b 4M", "letters"},
      {"object create .. 4M", "letters"},
      {"object create -x 4M", "letters"},
      {"object create 'a b' 4M", "letters"},
      {"object create aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg 4M", "up to 63"},
      {"object create x 1024T", ""},
      {"object show abd", "Did you mean 'abc'"},
      {"object destroy nothing-like-it", "Known: abc"},
      {"object populate abc 1..4096", "0x0..0x1000"},
      {"object populate abc 0..8M", "leaves the object"},
      {"object populate abc 4K..2M --leaf 2M", "2 MiB"},
      {"object unmap abc 4M", "leaves the object"},
      {"object split abc 1..4096", "0x0..0x1000"},
      {"object merge abc 4K..2M", "2 MiB"},
      {"object merge abc all --leaf 1G", "no leaf of 1 GiB fits"},
      {"object migrate abc 4M", "leaves the object"},
      {"object harvest abc 0..8M", "leaves the object"},
      {"object ranges abc 1", "0x0..0x2000"},
      {"object clone abc a/b", "letters"},
      {"object clone abc abc", "exists"},
      {"object clone nothing-like-it b", "Known: abc"},
      {"access abc ept 4 read", "multiple of 8"},
      {"access abc ept 4M read", "beyond the object"},
      {"access abc ept 0 read --value 3", "--value"},
      {"access abc npt 0 read", "1 (ept)"},
      {"tree abc --range 4M..8M", "beyond the object"},
      {"diff abc 7", "1 (ept)"},
      {"inject add invalidate drop --nth 0", "count from 1"},
      {"inject add invalidate drop --view 99", "no view's number"},
      {"inject add change fail --times 1000000", "would keep an operation busy"},
      {"inject add invalidate drop --probability 0", "no percentage"},
      {"inject add invalidate drop --actor 0", "no actor"},
      {"inject add invalidate drop --until flush", "belongs to delay"},
      {"inject add publish delay", "delay needs it"},
      {"inject add publish corrupt", "corrupt needs it"},
      {"inject add publish corrupt --bits 0", "flips nothing"},
      {"inject preset lost-invalidatoin abc ept", "Did you mean 'lost-invalidation'"},
      {"inject preset lost-invalidation abc", "needs a view"},
      {"inject preset lost-invalidation abc primary", "not the primary"},
      {"until publish --view 65537", "no view's number"},
      {"until publish --actor 5000000000", "no actor"},
      {"step", "nobody waits"},
      {"tree abc --half user", "no halves"},
      {"journal", "nothing was recorded"},
      {"goto 1", "nothing was recorded"},
  };
  for (const auto& [line, part] : table) {
    const Failure f = failure(line);
    EXPECT_EQ(f.code(), Exit::usage) << line;
    EXPECT_NE(std::string(f.what()).find(part), std::string::npos) << line << "\n" << f.what();
  }
  EXPECT_EQ(run("tree abc").facts, before);
  EXPECT_TRUE(run("inject list").facts["rules"].empty());
  EXPECT_EQ(run("object list").facts["objects"].size(), 1u);
}

TEST_F(CommandsTest, ADiffNeedsAView)
{
  run("object create a 4M");
  EXPECT_NE(failure("diff a").advice().find("view add a"), std::string::npos);
}

TEST_F(CommandsTest, RootsAreOfThoseThatOnlyLook)
{
  EXPECT_EQ(failure("root add a 0x1000").code(), Exit::skipped);
}

TEST_F(CommandsTest, HelpTellsEveryCommand)
{
  const Reply all = run("help");
  const Reply markdown = run("help --markdown");
  for (const Command& c : session_.table().commands()) {
    EXPECT_NE(all.text.find(c.path), std::string::npos) << c.path;
    EXPECT_NE(markdown.text.find("### `" + c.usage() + "`"), std::string::npos) << c.path;
  }
  EXPECT_EQ(run("help object").facts["commands"].size(), 13u);
  EXPECT_EQ(run("help tree").facts["commands"].size(), 1u);
  EXPECT_NE(failure("help tre").advice().find("tree"), std::string::npos);
}

// Whatever a person reads comes out of what a machine gets, and no command is left out here.
std::string text_of(const Command& command, const Json& facts)
{
  std::string text = facts.contains("started") ? render_started(facts, {}) : command.render(facts, {});
  for (const Json& v : facts.value("violations", Json::array())) text += violation_text(v, {});
  return text;
}

TEST_F(CommandsTest, TextIsRenderedFromTheJsonAlone)
{
  std::set<std::string_view> seen;
  for (const char* line : {"object create a 4M",
                           "object list",
                           "object populate a 0..16K",
                           "view add a ept",
                           "view add a npt",
                           "view list a",
                           "access a ept 0 read",
                           "access a ept 0x1000 write --value 7",
                           "tlb a ept",
                           "object protect a 4K r",
                           "inject add invalidate drop --view 1",
                           "object unmap a 0",
                           "object ranges a",
                           "object ranges a --dirty",
                           "object harvest a all",
                           "object harvest a all",
                           "object migrate a 0..16K",
                           "object split a all",
                           "object merge a all",
                           "object clone a b",
                           "object show a",
                           "object destroy b",
                           "inject list",
                           "inject presets",
                           "inject preset lost-invalidation a ept --nth 1000",
                           "stop",
                           "object unmap a 8K",
                           "actors",
                           "step",
                           "until leave",
                           "run",
                           "tree a",
                           "diff a",
                           "diff a --behind",
                           "verify",
                           "walk a ept 0",
                           "walk a ept 0x2000",
                           "walk a ept 0 --guest 0",
                           "entry npt 1 0x83",
                           "formats",
                           "formats ept",
                           "counters",
                           "target",
                           "kernel-log",
                           "inject clear",
                           "object show a",
                           "view drop a npt",
                           "object destroy a",
                           "tour",
                           "help",
                           "help --markdown",
                           "help tree"}) {
    const std::vector<std::string> words = split_line(line);
    const Command& command = session_.table().find(words);
    seen.insert(command.path);
    const Reply plain = session_.execute(words);
    const Json printed = Json::parse(plain.facts.dump());
    EXPECT_EQ(text_of(command, printed), plain.text) << line;
    EXPECT_FALSE(plain.text.empty()) << line;
    EXPECT_EQ(plain.text.find('\x1b'), std::string::npos) << line;
    EXPECT_EQ(plain.text.back(), '\n') << line;
  }
  for (const Command& c : session_.table().commands())
    EXPECT_TRUE(seen.count(c.path) || c.path == "run" || c.group == "Journal and history" ||
                c.group == "Dumps and foreign guests")
        << c.path << " is not exercised";
}

TEST_F(CommandsTest, JsonIsOneLineOnRequest)
{
  const Reply r = run("object list --json");
  EXPECT_EQ(r.shown(), "{\"objects\":[]}\n");
  const Json f = failure_facts(failure("object show a"));
  EXPECT_EQ(f["error"]["exit"], 2);
  EXPECT_NE(f["error"]["found"].get<std::string>().find("'a'"), std::string::npos);
}

// A guest may name its objects as it likes.
class HostileTarget : public ForwardingTarget {
 public:
  using ForwardingTarget::ForwardingTarget;
  std::vector<ObjectState> objects() override
  {
    ObjectState o;
    o.name = "x\x1b[2J\xff\xc2\x9b";
    o.bytes = page_bytes;
    return {o};
  }
};

TEST(HostileNames, NeitherSteerTheTerminalNorBreakTheJson)
{
  Session session(std::make_unique<HostileTarget>(sim::make_embedded_target()));
  Reply r = session.execute_line("object list");
  EXPECT_NE(r.text.find("x�[2J��"), std::string::npos) << r.text;
  EXPECT_EQ(r.text.find('\x1b'), std::string::npos);
  r.as_json = true;
  EXPECT_EQ(Json::parse(r.shown())["objects"][0]["bytes"], page_bytes);
}

TEST_F(CommandsTest, EmptyLinesAndCommentsDoNothing)
{
  EXPECT_EQ(run("").text, "");
  EXPECT_EQ(run("   # tree a").text, "");
}

}  // namespace
}  // namespace morsel::session
